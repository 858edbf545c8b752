<?php

declare(strict_types=1);

namespace Sluice\Http;

use Sluice\ExportFailedException;
use Sluice\SluiceException;
use Sluice\TransportException;

/** A download that goes on after a cut through a new link, and counts only when it is whole and has its checksum. */
final class Download
{
    /** @var Calls */
    private $calls;
    /** @var callable(): string */
    private $newLink;
    /** @var string */
    private $sha256;

    /** @param callable(): string $newLink */
    public function __construct(Calls $calls, callable $newLink, string $sha256)
    {
        $this->calls = $calls;
        $this->newLink = $newLink;
        $this->sha256 = $sha256;
    }

    /**
     * Saves the file under a name beside its own, and renames it when it is whole; `$path` is untouched by a failure.
     *
     * @throws SluiceException
     */
    public function saveTo(string $path): void
    {
        $link = ($this->newLink)(); // says what the service says where there is no file
        $part = sprintf('%s.%s.part', $path, bin2hex(random_bytes(4)));
        $file = @fopen($part, 'x+b');
        if ($file === false) {
            throw new TransportException("$path cannot be written: " . (error_get_last()['message'] ?? ''), 'NOT_WRITTEN');
        }
        try {
            if (is_file($path)) {
                chmod($part, fileperms($path) & 0777); // open to no others than before
            }
            $this->fill($file, $link);
            fclose($file);
            if (!@rename($part, $path)) {
                throw new TransportException("$path cannot be written: " . (error_get_last()['message'] ?? ''), 'NOT_WRITTEN');
            }
        } finally {
            if (is_resource($file)) {
                fclose($file);
            }
            if (is_file($part)) {
                unlink($part);
            }
        }
    }

    /** @return resource at its beginning */
    public function stream()
    {
        $link = ($this->newLink)();
        $file = @tmpfile();
        if ($file === false) {
            throw new TransportException('There is no temporary file; is the disk full?', 'NOT_WRITTEN');
        }
        $this->fill($file, $link);
        rewind($file);
        return $file;
    }

    /** @param resource $file */
    private function fill($file, string $link): void
    {
        $most = 0; // not the length: a server that begins anew each time and is cut each time makes no headway
        $length = function () use ($file, &$most): int {
            return $most = max($most, (int) ftell($file));
        };
        $this->calls->repeat(function () use ($file, &$link): void {
            $url = $link ?? ($this->newLink)();
            $link = null;
            $this->append($file, $url);
        }, $length);
        rewind($file);
        $hash = hash_init('sha256');
        hash_update_stream($hash, $file);
        if (hash_final($hash) !== $this->sha256) {
            throw new ExportFailedException('The download is not what was written', 'RESULT_VERIFY_FAILED', ['who' => 'operator']);
        }
    }

    /** @param resource $file */
    private function append($file, string $url): void
    {
        $offset = ftell($file);
        $sink = static function (string $block, bool $isBegin) use ($file): void {
            if ($isBegin) { // a store that knows no ranges sends all of it again
                ftruncate($file, 0);
                rewind($file);
            }
            if (@fwrite($file, $block) !== strlen($block)) {
                throw new TransportException('The file cannot be written; is the disk full?', 'NOT_WRITTEN');
            }
        };
        $headers = $offset > 0 ? ['Range' => "bytes=$offset-"] : [];
        $url = $url[0] === '/' ? preg_replace('~^(https?://[^/]+).*~i', '$1', $this->calls->server) . $url : $url;
        $response = $this->calls->exchange(new Request('GET', $url, $headers, null, $sink));
        if ($response->status !== 416) { // the connection broke behind the last byte
            $problem = Problem::of($response, $this->calls->server, '');
            if ($problem !== null) {
                throw $problem;
            }
        }
    }
}
