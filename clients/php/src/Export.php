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
    private const POLL_SECONDS = 20;
    /** How many keys are tried behind one whose exports are over. */
    private const SUCCESSORS_MAX = 50;
    /** What the keys begin with under which a key of the caller's goes on; no caller's key begins so. */
    private const OWN_KEYS = 'sluice:';

    /** @var Calls */
    private $calls;
    /** @var Definition */
    private $definition;
    /** @var Sender|null of the export that is open; made with its first rows */
    private $sender;
    /** @var string */
    private $key = '';
    /** @var bool */
    private $keyIsOurs = true;
    /** @var string */
    private $id = '';
    /** @var Status|null as last answered */
    private $status;
    /** @var bool whether it was found by its id, so that only the service knows what it is */
    private $isFound = false;
    /** @var bool */
    private $isClosedHere = false;
    /** @var string|null */
    private $watchUrl;
    /** @var list<iterable<mixed>> rows that cannot be read twice */
    private $readBefore = [];
    /** @var array<int, \WeakReference> those of all exports whose reading ended with an error */
    private static $failed = [];
    /** @var callable(Progress): mixed|null */
    private $onProgress;
    /** @var Progress */
    private $progress;

    /** Made by {@see Client::export()}. */
    public function __construct(Calls $calls, string $filename = '', string $format = '')
    {
        $this->calls = $calls;
        $this->definition = new Definition($filename, $format);
        $this->progress = new Progress();
    }

    public static function known(Calls $calls, string $taskId): self
    {
        $export = new self($calls);
        $export->id = $taskId;
        $export->isFound = true;
        return $export;
    }

    /** @return array<string, mixed> */
    public function __debugInfo(): array
    {
        return ['id' => $this->id, 'state' => $this->status === null ? '' : $this->status->state];
    }

    /**
     * The columns of the one table.
     *
     * @param array<int|string, mixed> $columns names (of text), or by name a type, a {@see Column}, or its members
     * @return $this
     */
    public function columns(array $columns): self
    {
        return $this->declare('', $columns);
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
        return $this->declare($name, $columns);
    }

    /**
     * Options of the file, as in docs/files.md: `['timezone' => 'Asia/Shanghai', 'style' => 'banded']`.
     *
     * @param array<string, mixed> $options
     * @return $this
     */
    public function options(array $options): self
    {
        $this->definition->addOptions($options);
        return $this;
    }

    /**
     * A key that your program knows again after a crash. The same key goes on with the same export.
     *
     * @return $this
     */
    public function key(string $key): self
    {
        if ($key === '' || preg_match('/[\x00-\x1f\x7f]/', $key) || !preg_match('//u', $key)) {
            throw new UsageException('A key is printable text.');
        }
        if (strpos($key, self::OWN_KEYS) === 0) {
            throw new UsageException("No key begins with '" . self::OWN_KEYS . "': the client makes such keys itself.");
        }
        $this->key = $key;
        $this->keyIsOurs = false;
        return $this;
    }

    /**
     * Announces how many rows will come, so that the percentage covers the sending too; checked at the close.
     *
     * @return $this
     */
    public function expect(int $rows): self
    {
        $this->definition->expect($rows);
        return $this;
    }

    /**
     * @param callable(Progress): mixed $callback called after each acknowledged batch, and while waiting
     * @return $this
     */
    public function onProgress(callable $callback): self
    {
        $this->onProgress = $callback;
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
        $this->refuseFound('write()');
        if ($this->isClosedHere) {
            throw new UsageException('write() has closed this export: of one table it takes all rows at once. In steps: push(), push(), close().');
        }
        $this->open();
        if (!$this->status->isOpen()) {
            return $this;
        }
        try {
            $this->send($rows, $sheet);
            return $this->unwritten() === [] ? $this->close() : $this;
        } catch (\Throwable $error) {
            if ($this->keyIsOurs) {
                $this->cancelQuietly();
                $this->id = $this->key = ''; // another write() begins anew
                $this->sender = null;
            }
            throw $error;
        }
    }

    /**
     * Opens the export, or finds the one of its key. One that has ended without a file, or was deleted, is over: then
     * the key begins a new one.
     *
     * @return $this
     */
    public function open(): self
    {
        if ($this->id === '') {
            $answer = $this->opened();
            $this->take($answer);
            $this->watchUrl = is_string($answer['watch_url'] ?? null) ? $answer['watch_url'] : null;
        }
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
            $this->refuseFound('push() without a number');
            return $this->open()->send($rows, $sheet);
        }
        $this->open()->sender()->sendNumbered($rows, $this->encoder($sheet), $sheet, $this->counting(), $sequence);
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
        $this->open();
        $totals = array_filter(['batches' => $batches, 'rows' => $rows], 'is_int');
        if ($totals === [] && !$this->sender()->isNumbered() && !$this->isFound) {
            if (!$this->status->isOpen()) {
                return $this;
            }
            $sent = $this->sender()->rows();
            $sheets = $this->definition->sheetNames();
            $totals = ['batches' => $this->sender()->batches(), 'rows' => array_sum($sent)];
            $totals += $sheets === [] ? [] : ['sheets' => (object) ($sent + array_fill_keys($sheets, 0))];
        }
        $this->take($this->json('POST', '/close', $totals));
        $this->isClosedHere = true;
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
        if (!$this->isFound && $this->status !== null && $this->status->isOpen() && !$this->sender()->isNumbered()) {
            $missing = $this->unwritten();
            throw new UsageException('Nothing closes this export: ' . ($missing === [] ? 'close() is missing.' : 'not written is ' . implode(', ', $missing) . '.'));
        }
        $until = Http\Retry::now() + $seconds;
        $poll = min(self::POLL_SECONDS, $this->calls->settings->answerTimeout / 2);
        while (true) {
            $left = $until - Http\Retry::now();
            $this->take($this->json('GET', sprintf('?wait=%.3F', max(0.0, min($poll, $left)))));
            $this->progress->state = $this->status->state;
            $this->progress->percent = $this->status->percent;
            $this->tell();
            if ($this->status->isCompleted()) {
                return $this;
            }
            $failure = $this->status->failure();
            if ($failure !== null) {
                throw $failure;
            }
            if ($left <= 0) {
                $known = ['task_id' => $this->id(), 'retryable' => true, 'who' => 'client'];
                throw new NotReadyException("The export is {$this->status->state} after $seconds seconds; it goes on", 'NOT_READY', $known);
            }
            Calls::sleep(0.1); // a service that stops answers at once
        }
    }

    /** As it is now. */
    public function status(): Status
    {
        return $this->take($this->json('GET', ''));
    }

    /** The id by which any process finds this export again. */
    public function id(): string
    {
        return $this->open()->id;
    }

    /** Rows that the service has. */
    public function rows(): int
    {
        return $this->latest()->rows;
    }

    /** Bytes of the file; null while there is none. */
    public function bytes(): ?int
    {
        return $this->latest()->bytes;
    }

    /** @return array<string, int> what the writer had to count, by kind: numbers kept as text, values left empty */
    public function warnings(): array
    {
        return $this->latest()->warnings;
    }

    /**
     * A link to the file that works without the API key for a while. Made anew at each call: hand it out, do not keep it.
     *
     * @throws NotReadyException while there is no file
     */
    public function url(): string
    {
        $url = $this->json('GET', '/file?redirect=false')['url'] ?? null;
        if (!is_string($url)) {
            throw new TransportException('the answer has no link', 'UNEXPECTED_ANSWER', ['task_id' => $this->id]);
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
        $this->open();
        return $this->watchUrl;
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
        $answer = $this->json('POST', '/render', $body, ['Idempotency-Key' => bin2hex(random_bytes(16))]);
        return self::known($this->calls, Status::of($answer)->taskId);
    }

    /**
     * Cancels an export that is running.
     *
     * @return $this
     * @throws RefusedException ALREADY_COMPLETED where the file is there; nothing is deleted
     */
    public function cancel(): self
    {
        $this->json('POST', '/cancel', []);
        return $this;
    }

    /**
     * Deletes an export that has ended, its file and its rows; cancels one that is running.
     *
     * @return $this
     */
    public function delete(): self
    {
        $this->json('DELETE', '');
        return $this;
    }

    /**
     * Gives up what was sent under the key, and begins anew: for a source that has changed. Ends the export of this key
     * where it runs, deletes it where it is finished; later runs under the key go on with the new one.
     *
     * @return $this
     */
    public function restart(): self
    {
        $this->refuseFound('restart()');
        $status = $this->open()->status();
        if (!$status->isOpen() || $status->batches > 0) {
            $this->delete();
            $this->id = '';
            $this->open();
        }
        $this->isClosedHere = false;
        $this->sender = null;
        $this->progress = new Progress();
        return $this;
    }

    /**
     * As `restart()`, for what an earlier run left half-way: one that was closed meanwhile stays, and so does one that
     * another run still sends, whose batches grow while this waits.
     *
     * @return bool whether it begins anew, and all rows are to be written again
     * @throws NotReadyException while another run sends under this key
     */
    public function restartIfStopped(float $seconds = 5): bool
    {
        $this->refuseFound('restartIfStopped()');
        $seen = $this->open()->status();
        $until = Http\Retry::now() + $seconds;
        while ($seen->isOpen()) {
            $now = $this->status();
            if ($now->isOpen() && $now->batches !== $seen->batches) {
                throw new NotReadyException('Another run is sending under this key', 'NOT_READY', ['task_id' => $this->id, 'retryable' => true, 'who' => 'client']);
            }
            if (Http\Retry::now() >= $until) {
                $this->restart();
                return true;
            }
            $seen = $now;
            Calls::sleep(min(0.5, $seconds / 4));
        }
        return false;
    }

    /** @param array<int|string, mixed> $columns */
    private function declare(string $sheet, array $columns): self
    {
        if ($this->id !== '' && !$this->isFound) {
            throw new UsageException('The export is open: its columns come before its first row.');
        }
        $this->definition->declare($sheet, $columns);
        return $this;
    }

    /**
     * A result that was read goes on behind the last row it gave, so its first rows would be in no file: of this export,
     * or of another one that is made because this failed.
     */
    private function refuseReadBefore(iterable $rows): void
    {
        if (!self::goesOn($rows)) {
            return;
        }
        $failed = self::$failed[spl_object_id($rows)] ?? null;
        if (in_array($rows, $this->readBefore, true) || ($failed !== null && $failed->get() === $rows)) {
            throw new UsageException('These rows were read before: run the query again, or make the generator anew.');
        }
        $this->readBefore[] = $rows;
    }

    private static function goesOn(iterable $rows): bool
    {
        return $rows instanceof \PDOStatement || ($rows instanceof \Iterator && !$rows instanceof \SeekableIterator);
    }

    /** @param iterable<mixed> $rows */
    private function send(iterable $rows, string $sheet): self
    {
        $this->refuseReadBefore($rows);
        try {
            $this->sender()->send($rows, $this->encoder($sheet), $sheet, $this->counting());
        } catch (\Throwable $error) {
            if (self::goesOn($rows)) {
                self::$failed = array_filter(self::$failed, static function (\WeakReference $one): bool { return $one->get() !== null; });
                self::$failed[spl_object_id($rows)] = \WeakReference::create($rows);
            }
            throw $error;
        }
        return $this;
    }

    private function sender(): Sender
    {
        return $this->sender = $this->sender ?? new Sender($this->calls, $this->id);
    }

    /** What counts an acknowledged batch. Given anew to each call: a sender that kept it would keep this export too. */
    private function counting(): callable
    {
        return function (array $answer, int $bytes, int $retries): void {
            $progress = $this->progress;
            $progress->batches++;
            $progress->rows += (int) ($answer['rows'] ?? 0);
            $progress->bytes += $bytes;
            $progress->replayed += ($answer['replayed'] ?? false) === true ? 1 : 0;
            $progress->retries = $retries;
            $expected = $this->definition->expectedRows();
            $progress->percent = $expected > 0 ? min(75.0, 75.0 * $progress->rows / $expected) : 0.0;
            $this->tell();
        };
    }

    private function encoder(string $sheet): RowEncoder
    {
        return $this->definition->encoder($sheet, $this->calls->settings->utf8 === 'substitute');
    }

    /** @return list<int|string> declared sheets that were not written here yet */
    private function unwritten(): array
    {
        return array_values(array_filter($this->definition->sheetNames(), function ($name): bool {
            return !isset($this->sender()->rows()[$name]);
        }));
    }

    /** @return array<string, mixed> the answer of the open, of the first export of this key that is not over */
    private function opened(): array
    {
        $body = $this->definition->body();
        $this->key = $this->key !== '' ? $this->key : bin2hex(random_bytes(16));
        for ($number = 1; $number <= self::SUCCESSORS_MAX; $number++) {
            $answer = $this->openedUnder($number, $body);
            if ($answer !== null && Status::of($answer)->failure() === null) {
                return $answer;
            }
        }
        throw new UsageException('The key was begun anew too often; take another.');
    }

    /**
     * @param array<string, mixed> $body
     * @return array<string, mixed>|null null for one that was deleted: its key is not free again yet
     */
    private function openedUnder(int $number, array $body): ?array
    {
        $key = $number === 1 ? $this->key : self::OWN_KEYS . $number . ':' . hash('sha256', $this->key);
        try {
            return $this->calls->json('POST', '/v1/exports', $body, ['Idempotency-Key' => $key]);
        } catch (ExportFailedException $error) {
            if ($error->code() !== 'TASK_DELETED') {
                throw $error;
            }
            return null;
        }
    }

    private function download(): Download
    {
        $status = $this->status();
        return new Download($this->calls, function (): string {
            return $this->url();
        }, (string) $status->sha256);
    }

    private function cancelQuietly(): void
    {
        try {
            $this->calls->answerOf($this->calls->exchange($this->calls->request('POST', "/v1/exports/{$this->id}/cancel", '{}')), $this->id);
        } catch (SluiceException $ignored) {
            // It expires by itself; what failed before is what matters.
        }
    }

    /**
     * @param array<string, mixed>|null $body
     * @param array<string, string> $headers
     * @return array<string, mixed>
     */
    private function json(string $method, string $path, ?array $body = null, array $headers = []): array
    {
        $id = $this->id();
        return $this->calls->json($method, '/v1/exports/' . rawurlencode($id) . $path, $body, $headers, $id);
    }

    /** @param array<string, mixed> $answer */
    private function take(array $answer): Status
    {
        $this->status = Status::of($answer);
        $this->id = $this->status->taskId;
        return $this->status;
    }

    private function refuseFound(string $what): void
    {
        if ($this->isFound) {
            throw new UsageException("$what is for exports that are described here; one that was found by its id takes push(\$rows, \$sequence) and close().");
        }
    }

    private function latest(): Status
    {
        return $this->status !== null && $this->status->hasEnded() ? $this->status : $this->status();
    }

    private function tell(): void
    {
        if ($this->onProgress !== null) {
            ($this->onProgress)($this->progress);
        }
    }
}
