<?php

declare(strict_types=1);

namespace Sluice;

use Sluice\Http\Calls;
use Sluice\Http\Download;

/**
 * One export: rows go in, a file comes out.
 *
 * Rows are sent in numbered batches, some at a time; a batch that is acknowledged is stored. Every call may be
 * repeated: under the same key the same export is opened, and what the service has is acknowledged again.
 */
class Export
{
    /** @var Run */
    private $run;

    /** Made by {@see Client::export()}. */
    public function __construct(Calls $calls, string $filename = '', string $format = '')
    {
        $this->run = new Run($calls, new Definition($filename, $format));
    }

    public static function known(Calls $calls, string $taskId): self
    {
        $export = new self($calls);
        $export->run = new Run($calls, new Definition('', ''), $taskId);
        return $export;
    }

    /** @return array<string, mixed> */
    public function __debugInfo(): array
    {
        return $this->run->__debugInfo();
    }

    /**
     * The columns of the one table.
     *
     * @param array<int|string, mixed> $columns names (of text), or by name a type, a {@see Column}, or its members
     * @return $this
     */
    public function columns(array $columns): self
    {
        $this->run->declare('', $columns);
        return $this;
    }

    /**
     * One of several tables, each a sheet of the workbook.
     *
     * @param array<int|string, mixed> $columns as in {@see columns()}
     * @return $this
     */
    public function sheet(string $name, array $columns): self
    {
        if ($name === '') {
            throw new UsageException('A sheet has a name.');
        }
        $this->run->declare($name, $columns);
        return $this;
    }

    /**
     * Options of the file, as in docs/files.md: `['timezone' => 'Asia/Shanghai', 'style' => 'banded']`.
     *
     * @param array<string, mixed> $options
     * @return $this
     */
    public function options(array $options): self
    {
        $this->run->definition->addOptions($options);
        return $this;
    }

    /**
     * A key that your program knows again after a crash. The same key goes on with the same export.
     *
     * @return $this
     */
    public function key(string $key): self
    {
        $this->run->key = Key::of($key);
        return $this;
    }

    /**
     * Announces how many rows will come, so that the percentage covers the sending too; checked at the close.
     *
     * @return $this
     */
    public function expect(int $rows): self
    {
        $this->run->definition->expect($rows);
        return $this;
    }

    /**
     * @param callable(Progress): mixed $callback called after each acknowledged batch, and while waiting
     * @return $this
     */
    public function onProgress(callable $callback): self
    {
        $this->run->onProgress = $callback;
        return $this;
    }

    /**
     * Opens the export, sends the rows, and closes it with the totals counted; of several sheets, once all are written.
     *
     * What an earlier run under the same key has closed is not sent again. Without a key of yours, an export that
     * fails here is cancelled.
     *
     * @param iterable<mixed> $rows lists by place, arrays by name, or objects that can become one
     * @return $this
     */
    public function write(iterable $rows, string $sheet = ''): self
    {
        $this->run->write($rows, $sheet);
        return $this;
    }

    /**
     * Opens the export, or finds the one of its key. One that has ended without a file, or was deleted, is over: then
     * the key begins a new one.
     *
     * @return $this
     */
    public function open(): self
    {
        $this->run->open();
        return $this;
    }

    /**
     * Sends rows and returns once the service has stored them.
     *
     * Without a number, rows are cut into batches that are numbered in the order of the calls. With one, they are one
     * batch: for jobs that run beside each other and know their place. Say the columns again where an export that was
     * found by its id gets dates.
     *
     * @param iterable<mixed> $rows
     * @return $this
     */
    public function push(iterable $rows, ?int $sequence = null, string $sheet = ''): self
    {
        if ($sequence === null) {
            $this->run->push($rows, $sheet);
        } else {
            $this->run->pushNumbered($rows, $sheet, $sequence);
        }
        return $this;
    }

    /**
     * Fixes the rows and has the file written. Totals are checked: those that are given, else those that were counted
     * here, unless the numbers of batches were yours.
     *
     * @return $this
     */
    public function close(?int $batches = null, ?int $rows = null): self
    {
        $this->run->close(array_filter(['batches' => $batches, 'rows' => $rows], 'is_int'));
        return $this;
    }

    /**
     * Waits until the file is there.
     *
     * @return $this
     * @throws NotReadyException when the seconds are over; the export goes on
     * @throws ExportFailedException when there will be no file
     */
    public function wait(float $seconds = 300): self
    {
        $this->run->wait($seconds);
        return $this;
    }

    /** As it is now. */
    public function status(): Status
    {
        return $this->run->status();
    }

    /** The id by which any process finds this export again. */
    public function id(): string
    {
        return $this->run->id();
    }

    /** Rows that the service has. */
    public function rows(): int
    {
        return $this->run->latest()->rows;
    }

    /** Bytes of the file; null while there is none. */
    public function bytes(): ?int
    {
        return $this->run->latest()->bytes;
    }

    /** @return array<string, int> what the writer had to count, by kind: numbers kept as text, values left empty */
    public function warnings(): array
    {
        return $this->run->latest()->warnings;
    }

    /**
     * A link to the file that works without the API key for a while. Made anew at each call: hand it out, do not keep it.
     *
     * @throws NotReadyException while there is no file
     */
    public function url(): string
    {
        $url = $this->run->json('GET', '/file?redirect=false')['url'] ?? null;
        if (!is_string($url)) {
            throw new TransportException('the answer has no link', 'UNEXPECTED_ANSWER', ['task_id' => $this->id()]);
        }
        return $url;
    }

    /**
     * An address at which a browser sees this export, follows its events and fetches its file, without the API key and
     * from a page of any site: hand it to the page of who asked. Null where the service offers none, and for an export
     * that was found by its id.
     */
    public function watchUrl(): ?string
    {
        return $this->run->watchUrl();
    }

    /**
     * Saves the file: whole and with the checksum that the service recorded, or not at all. A download that is cut goes on.
     *
     * @return $this
     */
    public function saveTo(string $path): self
    {
        $this->download()->saveTo($path);
        return $this;
    }

    /**
     * The whole, checked file as a stream of PHP, over a temporary file that goes with it.
     *
     * @return resource
     */
    public function stream()
    {
        return $this->download()->stream();
    }

    /**
     * Another file of the same rows.
     *
     * @param array<string, mixed>|null $options in place of all options of this export
     */
    public function renderAs(string $format, ?array $options = null, string $filename = ''): self
    {
        $body = ['format' => $format] + ($options === null ? [] : ['options' => $options]) + ($filename === '' ? [] : ['filename' => $filename]);
        $answer = $this->run->json('POST', '/render', $body, ['Idempotency-Key' => bin2hex(random_bytes(16))]);
        return self::known($this->run->calls, Status::of($answer)->taskId);
    }

    /**
     * Cancels an export that is running.
     *
     * @return $this
     * @throws RefusedException ALREADY_COMPLETED where the file is there; nothing is deleted
     */
    public function cancel(): self
    {
        $this->run->json('POST', '/cancel', []);
        return $this;
    }

    /**
     * Deletes an export that has ended, its file and its rows; cancels one that is running.
     *
     * @return $this
     */
    public function delete(): self
    {
        $this->run->json('DELETE', '');
        return $this;
    }

    /**
     * For a source that has changed since a run that stopped half-way: gives up what that one has sent, and begins anew.
     * An export that failed, was cancelled or has expired meanwhile is begun anew, too. One that another run has closed
     * stays, with its file, and so does one that another run still sends, whose batches grow while this looks on.
     *
     * @return bool whether it begins anew, and all rows are to be written again
     * @throws NotReadyException while another run sends under this key
     */
    public function restartIfStopped(float $seconds = 5): bool
    {
        return $this->run->restartIfStopped($seconds);
    }

    /**
     * Gives up what was sent under the key, whoever sent it, and begins anew: ends the export of this key where it runs,
     * **deletes it where it is finished**; later runs under the key go on with the new one. `restartIfStopped()` deletes
     * no file.
     *
     * @return $this
     */
    public function restart(): self
    {
        $this->run->restart();
        return $this;
    }

    private function download(): Download
    {
        return new Download($this->run->calls, function (): string {
            return $this->url();
        }, (string) $this->status()->sha256);
    }
}
