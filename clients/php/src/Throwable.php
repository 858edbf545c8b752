<?php

declare(strict_types=1);

namespace Sluice;

/**
 * Everything that this client throws. The class says what to do next; these say what happened and where.
 *
 * The message has the code, the place and the request id, and never the API key, a link or a cell's value.
 */
interface Throwable extends \Throwable
{
    /** An error code of the service (docs/errors.md), `UNREACHABLE`, `UNEXPECTED_ANSWER`, `SOURCE_FAILED` or `USAGE`. */
    public function code(): string;

    /** The HTTP status; null where there was no answer, and for an export that failed. */
    public function status(): ?int;

    /** Whether the same call may succeed later. */
    public function retryable(): bool;

    /** Seconds that the service asks to wait before the next try; 0 where it does not say. */
    public function retryAfter(): float;

    /** Who must act: `client`, `platform` or `operator`; empty where nobody said. */
    public function who(): string;

    /** The service's log has it too. */
    public function requestId(): string;

    public function taskId(): string;

    /** The row of the whole table (of its sheet), counted from 1. */
    public function row(): ?int;

    public function column(): ?string;

    /** @return array<string, mixed> what else is known of the place */
    public function facts(): array;
}
