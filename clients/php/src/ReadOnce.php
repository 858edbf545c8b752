<?php

declare(strict_types=1);

namespace Sluice;

/**
 * Rows that can be read once: a result or a generator goes on behind the last row it gave, so that its first rows would be
 * in no file, of the same export or of another one that is made because this failed.
 *
 * @internal
 */
final class ReadOnce
{
    /** @var list<iterable<mixed>> of this export */
    private $before = [];
    /** @var array<int, \WeakReference> those of all exports whose reading ended with an error */
    private static $failed = [];

    /**
     * @param iterable<mixed> $rows
     * @param callable(): void $reads
     * @throws UsageException for rows that were read before
     */
    public function reading(iterable $rows, callable $reads): void
    {
        if (!self::goesOn($rows)) {
            $reads();
            return;
        }
        $failed = self::$failed[spl_object_id($rows)] ?? null;
        if (in_array($rows, $this->before, true) || ($failed !== null && $failed->get() === $rows)) {
            throw new UsageException('These rows were read before: run the query again, or make the generator anew.');
        }
        $this->before[] = $rows;
        try {
            $reads();
        } catch (\Throwable $error) {
            self::$failed = array_filter(self::$failed, static function (\WeakReference $one): bool { return $one->get() !== null; });
            self::$failed[spl_object_id($rows)] = \WeakReference::create($rows);
            throw $error;
        }
    }

    private static function goesOn(iterable $rows): bool
    {
        return $rows instanceof \PDOStatement || ($rows instanceof \Iterator && !$rows instanceof \SeekableIterator);
    }
}
