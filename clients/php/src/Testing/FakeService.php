<?php

declare(strict_types=1);

namespace Sluice\Testing;

use Sluice\Http\Request;
use Sluice\Http\Response;

/** As much of the service as an application's tests need, in memory. */
final class FakeService
{
    /** @var array<string, array<string, mixed>> exports by id */
    private $exports = [];
    /** @var array<string, string> ids by key */
    private $keys = [];

    public function answer(Request $request): Response
    {
        $path = (string) parse_url($request->url, PHP_URL_PATH);
        parse_str((string) parse_url($request->url, PHP_URL_QUERY), $query);
        $parts = explode('/', ltrim($path, '/'));
        if ($parts[1] === 'files') {
            $export = $this->exports[$parts[2]];
            ($request->sink)($export['file'], true);
            return new Response(200, [], '');
        }
        $id = $parts[2] ?? '';
        if ($id === '') {
            return $request->method === 'GET' ? $this->listed() : $this->opened($request);
        }
        if (!isset($this->exports[$id])) {
            return $this->refused(404, 'TASK_NOT_FOUND', 'There is no such export.');
        }
        switch ($request->method . ' ' . ($parts[3] ?? '')) {
            case 'PUT batches':
                return $this->stored($id, (int) $parts[4], json_decode((string) $request->body, true), (string) ($query['sheet'] ?? ''));
            case 'POST close':
                return $this->closing($id);
            case 'GET file':
                $url = "http://sluice.invalid/v1/files/$id";
                return $this->exports[$id]['state'] === 'completed' ? $this->said(['url' => $url]) : $this->refused(409, 'NOT_READY', 'Not closed yet.', true);
            case 'POST render':
                $made = $this->add(['filename' => $this->exports[$id]['filename']] + (array) json_decode((string) $request->body, true));
                $this->exports[$made]['batches'] = $this->exports[$id]['batches'];
                return $this->closing($made);
            case 'POST cancel':
                if ($this->exports[$id]['state'] === 'completed') {
                    return $this->refused(409, 'ALREADY_COMPLETED', 'The file is there; nothing is deleted.');
                }
                $this->exports[$id]['state'] = 'cancelled';
                return $this->said($this->view($id));
            case 'DELETE ':
                $this->exports[$id]['state'] = $this->exports[$id]['state'] === 'completed' ? 'expired' : 'cancelled';
                return new Response(204, [], '');
            default:
                return $this->said($this->view($id));
        }
    }

    /** @return array<string, mixed>|null the last closed export of this name */
    public function closed(string $filename): ?array
    {
        foreach (array_reverse($this->exports) as $export) {
            if ($export['state'] === 'completed' && $export['filename'] === $filename) {
                ksort($export['batches']);
                return ['rows' => array_merge([], ...array_values($export['batches']))] + $export;
            }
        }
        return null;
    }

    /** @return list<string> */
    public function closedNames(): array
    {
        $names = [];
        foreach ($this->exports as $export) {
            if ($export['state'] === 'completed') {
                $names[] = $export['filename'];
            }
        }
        return $names;
    }

    private function opened(Request $request): Response
    {
        $key = $request->headers['Idempotency-Key'];
        $this->keys[$key] = $this->keys[$key] ?? $this->add((array) json_decode((string) $request->body, true));
        return $this->said($this->view($this->keys[$key]), 201);
    }

    /** @param array<string, mixed> $definition */
    private function add(array $definition): string
    {
        $id = 'fake' . (count($this->exports) + 1);
        $this->exports[$id] = [
            'filename' => $definition['filename'], 'format' => $definition['format'] ?? '', 'state' => 'open', 'batches' => [], 'file' => '',
        ];
        return $id;
    }

    /** @param list<array<int|string, mixed>> $rows */
    private function stored(string $id, int $sequence, array $rows, string $sheet): Response
    {
        $held = $this->exports[$id]['batches'][$sequence] ?? null;
        if ($held !== null && $held !== $rows) {
            return $this->refused(409, 'BATCH_CONFLICT', 'This sequence is taken by a batch with other rows; the first stands.');
        }
        $this->exports[$id]['batches'][$sequence] = $rows;
        return $this->said(['sequence' => $sequence, 'rows' => count($rows), 'sheet' => $sheet, 'sha256' => '', 'replayed' => $held !== null]);
    }

    private function closing(string $id): Response
    {
        $export = &$this->exports[$id];
        $export['state'] = 'completed';
        ksort($export['batches']);
        foreach ($export['batches'] as $rows) {
            foreach ($rows as $row) {
                $export['file'] .= json_encode($row, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES) . "\n";
            }
        }
        return $this->said($this->view($id), 202);
    }

    private function listed(): Response
    {
        return $this->said(['tasks' => array_map([$this, 'view'], array_reverse(array_keys($this->exports))), 'cursor' => null]);
    }

    /** @return array<string, mixed> */
    private function view(string $id): array
    {
        $export = $this->exports[$id];
        $isDone = $export['state'] === 'completed';
        return [
            'task_id' => $id, 'state' => $export['state'], 'filename' => $export['filename'], 'format' => $export['format'],
            'rows_received' => array_sum(array_map('count', $export['batches'])), 'batches' => count($export['batches']),
            'progress_percent' => $isDone ? 100.0 : 0.0, 'warnings' => [], 'watch_url' => "http://sluice.invalid/v1/watch/$id",
            'file_size_bytes' => $isDone ? strlen($export['file']) : null, 'checksum_sha256' => $isDone ? hash('sha256', $export['file']) : null,
        ];
    }

    /** @param array<string, mixed> $body */
    private function said(array $body, int $status = 200): Response
    {
        return new Response($status, [], (string) json_encode($body));
    }

    private function refused(int $status, string $code, string $detail, bool $retryable = false): Response
    {
        return $this->said(['code' => $code, 'detail' => $detail, 'who' => 'client', 'retryable' => $retryable], $status);
    }
}
