<?php

declare(strict_types=1);

namespace Sluice\Symfony;

use Sluice\Client;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\RedirectResponse;
use Symfony\Component\HttpFoundation\Response;

/** Responses that lead a browser to the file of an export. */
final class SluiceResponse
{
    private const RETRY_AFTER_S = 2;

    /**
     * A redirect to a link made now; until the file is there, 202 with state and percentage; where there will be none, 410
     * with the error's code. Whether the user may have the file is for the application to say before.
     */
    public static function of(Client $sluice, string $taskId): Response
    {
        $export = $sluice->find($taskId);
        $status = $export->status();
        $failure = $status->failure();
        if ($failure !== null) {
            return new JsonResponse(['state' => $status->state, 'code' => $failure->code()], 410, ['Cache-Control' => 'no-store']);
        }
        if (!$status->isCompleted()) {
            $headers = ['Cache-Control' => 'no-store', 'Retry-After' => (string) self::RETRY_AFTER_S];
            return new JsonResponse(['state' => $status->state, 'percent' => $status->percent], 202, $headers);
        }
        return new RedirectResponse($export->url(), 302, ['Cache-Control' => 'no-store']);
    }
}
