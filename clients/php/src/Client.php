<?php

declare(strict_types=1);

namespace Sluice;

use Sluice\Http\Calls;
use Sluice\Http\CurlTransport;
use Sluice\Testing\FakeClient;

/** One Sluice service, reached with one API key. The key goes to that server only. */
class Client
{
    private const FORMATS = ['xlsx' => 'xlsx', 'csv' => 'csv', 'jsonl' => 'jsonl', 'ndjson' => 'jsonl', 'parquet' => 'parquet'];

    /** @var Calls */
    private $calls;

    /**
     * @param string $url such as `https://exports.example.com`
     * @param array<string, mixed> $settings by the names in the README, as in `['tries' => 2]`
     * @throws UsageException for an address, a key or a setting that can be none
     */
    public function __construct(
        string $url,
        #[\SensitiveParameter]
        string $key = '',
        array $settings = []
    ) {
        $this->calls = new Calls($url, $key, Settings::of($settings), $this->transports());
    }

    /**
     * The client of the environment: SLUICE_URL (by default the service on this machine), SLUICE_KEY.
     *
     * @param array<string, mixed> $settings
     */
    public static function fromEnv(array $settings = []): self
    {
        $read = static function (string $name): string {
            return (string) ($_SERVER[$name] ?? $_ENV[$name] ?? (getenv($name) ?: ''));
        };
        return new self($read('SLUICE_URL') ?: 'http://127.0.0.1:9091', $read('SLUICE_KEY'), $settings);
    }

    /** A client for tests: sends nothing, keeps the rows, and asserts. */
    public static function fake(): FakeClient
    {
        return new FakeClient();
    }

    /**
     * Describes an export; nothing is sent yet.
     *
     * @param string $format xlsx, csv, jsonl or parquet; by default what the name ends with
     */
    public function export(string $filename, string $format = ''): Export
    {
        $ending = strtolower(pathinfo($filename, PATHINFO_EXTENSION));
        $format = $format !== '' ? $format : (self::FORMATS[$ending] ?? '');
        if ($format === '') {
            throw new UsageException("The name \"$filename\" says no format; it ends with ." . implode(', .', array_keys(self::FORMATS)) . ', or the format is the second argument.');
        }
        return new Export($this->calls, $filename, $format);
    }

    /** Takes up an export by its id, in another process too; nothing is asked yet. */
    public function find(string $taskId): Export
    {
        if ($taskId === '') {
            throw new UsageException('find() takes the id of an export, as id() gave it.');
        }
        return Export::known($this->calls, $taskId);
    }

    /**
     * All exports of this key's tenant, newest first; pages are fetched as they are read.
     *
     * @param string $state only those in this state
     * @return \Generator<int, Status>
     */
    public function list(string $state = ''): \Generator
    {
        $cursor = '';
        $seen = [];
        do {
            $query = array_filter(['state' => $state, 'cursor' => $cursor, 'limit' => '100'], 'strlen');
            $page = $this->calls->json('GET', '/v1/exports?' . http_build_query($query));
            $tasks = $page['tasks'] ?? null;
            $cursor = $page['cursor'] ?? '';
            if (!is_array($tasks) || !is_string($cursor) || isset($seen[$cursor])) {
                throw new TransportException('the answer is no page of a list', 'UNEXPECTED_ANSWER');
            }
            foreach ($tasks as $task) {
                yield Status::of(is_array($task) ? $task : []);
            }
            $seen[$cursor] = true;
        } while ($cursor !== '');
    }

    /** @return callable(Settings): \Sluice\Http\Transport */
    protected function transports(): callable
    {
        return static function (Settings $settings): CurlTransport {
            return new CurlTransport($settings);
        };
    }
}
