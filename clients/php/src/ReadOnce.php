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
    /** @var array<int, \WeakReference> those of all exports that have given rows */
    private static $spent = [];

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
        self::refuseSilent($rows);
        $this->before[] = $rows;
        try {
            $reads();
        } catch (\Throwable $error) {
            self::remember($rows, self::$failed);
            throw $error;
        }
    }

    /**
     * What was read to its end has rows again where its query was run again; without any it is no table of no rows.
     *
     * @param iterable<mixed> $rows that were read now
     * @throws UsageException for rows that were read before
     */
    public static function refuseSpent(iterable $rows, int $count): void
    {
        if (!self::goesOn($rows)) {
            return;
        }
        $spent = self::$spent[spl_object_id($rows)] ?? null;
        if ($count > 0) {
            self::remember($rows, self::$spent);
        } elseif ($spent !== null && $spent->get() === $rows) {
            throw new UsageException('These rows were read before, and there are none left: make the iterator anew, or run the query '
                . 'again, and over a new statement where it finds nothing.');
        }
    }

    /**
     * @param iterable<mixed> $rows
     * @param array<int, \WeakReference> $known
     */
    private static function remember(iterable $rows, array &$known): void
    {
        $known = array_filter($known, static function (\WeakReference $one): bool { return $one->get() !== null; });
        $known[spl_object_id($rows)] = \WeakReference::create($rows);
    }

    /**
     * An unbuffered result of mysqli that does not throw ends where its query failed like one that is whole, and it does
     * not say that it failed.
     *
     * @throws UsageException
     */
    private static function refuseSilent(iterable $rows): void
    {
        if (!self::isUnbuffered($rows)) {
            return;
        }
        $throws = MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT;
        if (((new \mysqli_driver())->report_mode & $throws) !== $throws) {
            throw new UsageException('A query of mysqli that fails while its rows are read is noticed only where mysqli throws: '
                . 'mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT) before the query, or MYSQLI_STORE_RESULT.');
        }
    }

    private static function isUnbuffered(iterable $rows): bool
    {
        return $rows instanceof \mysqli_result && $rows->type === MYSQLI_USE_RESULT;
    }

    private static function goesOn(iterable $rows): bool
    {
        return $rows instanceof \PDOStatement || self::isUnbuffered($rows) || ($rows instanceof \Iterator && !$rows instanceof \SeekableIterator);
    }
}
