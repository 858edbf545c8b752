<?php

declare(strict_types=1);

namespace Sluice\Laravel;

use Illuminate\Container\Container;
use Illuminate\Contracts\Support\Responsable;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\RedirectResponse;
use Sluice\Client;
use Symfony\Component\HttpFoundation\Response;

/**
 * Leads a browser to the file of an export by a link made now, which is not kept anywhere.
 *
 * Until the file is there: 202 with state and percentage. Where there will be none: 410 with the error's code. Whether
 * the user may have the file is for the application to say, before it answers with this.
 */
final class SluiceResponse implements Responsable
{
    private const RETRY_AFTER_S = 2;

    /** @var string */
    private $taskId;

    public function __construct(string $taskId)
    {
        $this->taskId = $taskId;
    }

    /** @param \Illuminate\Http\Request $request */
    public function toResponse($request): Response
    {
        $export = Container::getInstance()->make(Client::class)->find($this->taskId);
        $status = $export->status();
        $failure = $status->failure();
        if ($failure !== null) {
            return new JsonResponse(['state' => $status->state, 'code' => $failure->code()], 410, ['Cache-Control' => 'no-store']);
        }
        if (!$status->isCompleted()) {
            $headers = ['Cache-Control' => 'no-store', 'Retry-After' => self::RETRY_AFTER_S];
            return new JsonResponse(['state' => $status->state, 'percent' => $status->percent], 202, $headers);
        }
        return new RedirectResponse($export->url(), 302, ['Cache-Control' => 'no-store']);
    }
}
