<?php

declare(strict_types=1);

namespace Sluice\Http;

use Sluice\AuthException;
use Sluice\BusyException;
use Sluice\ExportFailedException;
use Sluice\InvalidRowException;
use Sluice\NotReadyException;
use Sluice\RefusedException;
use Sluice\SluiceException;
use Sluice\SourceChangedException;
use Sluice\TransportException;
use Sluice\UsageException;

/** What an answer that is no success amounts to. */
final class Problem
{
    private const CLASSES = [
        InvalidRowException::class => ['ROW_WIDTH_MISMATCH', 'INVALID_VALUE', 'INVALID_TEXT', 'CELL_TOO_LONG'],
        SourceChangedException::class => ['BATCH_CONFLICT', 'BATCHES_EXTRA', 'TOTALS_MISMATCH', 'ALREADY_CLOSED', 'TASK_CLOSED'],
        BusyException::class => [
            'STORE_UNAVAILABLE', 'STORAGE_FULL', 'QUEUE_FULL', 'QUOTA_EXCEEDED', 'RATE_LIMITED', 'SENDER_TOO_SLOW',
        ],
        AuthException::class => ['UNAUTHENTICATED', 'PERMISSION_DENIED'],
        NotReadyException::class => ['NOT_READY'],
        ExportFailedException::class => [
            'CANCELLED', 'EXPIRED', 'TASK_DELETED', 'CHUNK_MISSING', 'CHUNK_CORRUPT', 'ROW_COUNT_MISMATCH',
            'RESULT_VERIFY_FAILED', 'RESULT_TOO_LARGE', 'RESULT_MISSING', 'RESULT_DAMAGED', 'TASK_DAMAGED',
            'ATTEMPTS_EXHAUSTED', 'FAILED',
        ],
        UsageException::class => [
            'INVALID_REQUEST', 'UNSUPPORTED_FORMAT', 'UNSUPPORTED_ENCODING', 'TOO_MANY_BATCHES', 'TOO_MANY_ROWS',
            'TOO_MANY_COLUMNS', 'BATCH_TOO_LARGE', 'SEQ_OUT_OF_RANGE', 'BATCHES_MISSING', 'IDEMPOTENCY_KEY_REUSED',
        ],
    ];
    private const MEMBERS = ['type', 'title', 'status', 'detail', 'code', 'who', 'retryable', 'request_id'];
    private const TRANSIENT = [408, 425, 429, 502, 503, 504];

    /** Whether the same request, made again in a moment, may succeed by itself. */
    public static function isTransient(SluiceException $error): bool
    {
        $status = $error->status() ?? 0;
        return in_array($status, self::TRANSIENT, true) || ($error->retryable() && ($status >= 500 || $error->code() === 'UNREACHABLE'));
    }

    /** Whether the service itself has answered this, and not a network or a proxy on the way to it. */
    public static function isRefusal(\Throwable $error): bool
    {
        return $error instanceof SluiceException && !$error instanceof TransportException && $error->status() !== null;
    }

    /**
     * The error of a response; null for a success.
     *
     * @param string $server its address, for the message
     * @param string $taskId of the export that was asked about
     */
    public static function of(Response $response, string $server, string $taskId): ?SluiceException
    {
        if ($response->stopped !== null) {
            return $response->stopped;
        }
        if ($response->status === 0) {
            $known = ['retryable' => !$response->isFinal, 'task_id' => $taskId];
            return new TransportException("$server cannot be reached: {$response->failure}", 'UNREACHABLE', $known);
        }
        if ($response->status < 300) {
            return null;
        }
        $problem = json_decode($response->body, true);
        if (!is_array($problem) || !is_string($problem['code'] ?? null) || !preg_match('/^[A-Z][A-Z0-9_]*$/D', $problem['code'])) {
            return self::unexpected($response, $server, $taskId);
        }
        $detail = $problem['detail'] ?? $problem['title'] ?? '';
        return self::named($problem['code'], is_string($detail) ? $detail : '', [
            'status' => $response->status,
            'retryable' => ($problem['retryable'] ?? false) === true,
            'retry_after' => self::retryAfter($response),
            'who' => is_string($problem['who'] ?? null) ? $problem['who'] : '',
            'request_id' => is_string($problem['request_id'] ?? null) ? $problem['request_id'] : '',
            'task_id' => $taskId,
            'facts' => array_diff_key($problem, array_flip(self::MEMBERS)),
        ]);
    }

    /** @param array<string, mixed> $known as {@see SluiceException} takes it */
    public static function named(string $code, string $detail, array $known): SluiceException
    {
        if ($code === 'INVALID_REQUEST' && isset($known['facts']['row'])) {
            return new InvalidRowException($detail, $code, $known); // a row that is none: a name or a cell too many
        }
        foreach (self::CLASSES as $class => $codes) {
            if (in_array($code, $codes, true)) {
                return new $class($detail, $code, $known);
            }
        }
        return new RefusedException($detail, $code, $known);
    }

    private static function unexpected(Response $response, string $server, string $taskId): TransportException
    {
        $detail = "$server answered {$response->status}, not as a Sluice service does";
        if ($response->status === 413) {
            $detail .= '; a gateway before it takes no request of that size (nginx: client_max_body_size; Function Compute: 32 MB)';
        } elseif ($response->status < 400) {
            $detail .= '; it points elsewhere, where the API key is not sent: use the address that it points to';
        }
        return new TransportException($detail, 'UNEXPECTED_ANSWER', [
            'status' => $response->status,
            'retryable' => in_array($response->status, self::TRANSIENT, true),
            'retry_after' => self::retryAfter($response),
            'request_id' => preg_match('/^[\x21-\x7e]{1,128}$/D', $response->headers['x-request-id'] ?? '') ? $response->headers['x-request-id'] : '',
            'task_id' => $taskId,
        ]);
    }

    private static function retryAfter(Response $response): float
    {
        $text = $response->headers['retry-after'] ?? '';
        return preg_match('/^[0-9]{1,6}$/D', $text) ? (float) $text : 0.0; // a date there is not used
    }
}
