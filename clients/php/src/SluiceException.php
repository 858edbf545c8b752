<?php

declare(strict_types=1);

namespace Sluice;

/** The one implementation of {@see Throwable}; catch that, or one of the classes below this. */
abstract class SluiceException extends \RuntimeException implements Throwable
{
    /** @var array<string, mixed> */
    private $known;
    /** @var string */
    private $detail;

    /**
     * @param array<string, mixed> $known `status`, `retryable`, `retry_after`, `who`, `request_id`, `task_id`, `facts` (`row`, `column` …)
     */
    final public function __construct(string $detail, string $code = 'USAGE', array $known = [], ?\Throwable $previous = null)
    {
        $this->known = $known + ['code' => $code];
        $this->detail = $detail;
        parent::__construct("$code: $detail" . $this->place(), 0, $previous);
    }

    public function code(): string
    {
        return $this->known['code'];
    }

    public function status(): ?int
    {
        return $this->known['status'] ?? null;
    }

    public function retryable(): bool
    {
        return $this->known['retryable'] ?? false;
    }

    public function retryAfter(): float
    {
        return $this->known['retry_after'] ?? 0.0;
    }

    public function who(): string
    {
        return $this->known['who'] ?? '';
    }

    public function requestId(): string
    {
        return $this->known['request_id'] ?? '';
    }

    public function taskId(): string
    {
        return $this->known['task_id'] ?? '';
    }

    public function row(): ?int
    {
        $row = $this->facts()['row'] ?? null;
        return is_int($row) ? $row : null;
    }

    public function column(): ?string
    {
        $column = $this->facts()['column'] ?? null;
        return $column === null ? null : (string) $column;
    }

    public function facts(): array
    {
        return $this->known['facts'] ?? [];
    }

    /**
     * The same error at another place.
     *
     * @param array<string, mixed> $facts that are added, or replace those of the same name
     * @param string $without a pattern of what the message does not repeat
     * @return static
     */
    public function at(array $facts, string $without = '/$^/'): self
    {
        return new static((string) preg_replace($without, '', $this->detail), $this->code(), ['facts' => $facts + $this->facts()] + $this->known, $this->getPrevious());
    }

    private function place(): string
    {
        $places = [];
        foreach (['row', 'column', 'sheet', 'batch'] as $name) {
            $fact = $this->facts()[$name] ?? null;
            if (is_scalar($fact)) {
                $places[] = "$name $fact";
            }
        }
        foreach (['export' => $this->taskId(), 'request' => $this->requestId()] as $name => $id) {
            if ($id !== '') {
                $places[] = "$name $id";
            }
        }
        return $places === [] ? '' : ' (' . implode(', ', $places) . ')';
    }
}
