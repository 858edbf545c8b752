<?php

declare(strict_types=1);

namespace Sluice\Testing;

use Sluice\Client;

/**
 * A client for the tests of an application: made by {@see Client::fake()}, it sends nothing and keeps the rows.
 *
 * Rows are cut, encoded and refused as in earnest; what only the service refuses (a text in a column of numbers) is
 * not refused here, and the file it gives out is the rows as JSON Lines, whatever the format.
 */
final class FakeClient extends Client
{
    /** @var FakeService */
    private $service;

    public function __construct()
    {
        $this->service = new FakeService();
        parent::__construct('http://sluice.invalid', '', ['gzip' => false, 'tries' => 1]);
    }

    /**
     * The rows of an export by its file name, in order, as they would have been sent; of all its sheets.
     *
     * @return list<array<int|string, mixed>>
     */
    public function rowsOf(string $filename): array
    {
        return $this->found($filename)['rows'];
    }

    /**
     * Fails where no export of this name was closed, or `$check` does not return true for its rows.
     *
     * @param callable(list<array<int|string, mixed>>): bool|null $check
     */
    public function assertExported(string $filename, ?callable $check = null): void
    {
        $rows = $this->found($filename)['rows'];
        self::demand($check === null || $check($rows), "the rows of $filename are others: " . json_encode(array_slice($rows, 0, 3), JSON_UNESCAPED_UNICODE));
    }

    public function assertNothingExported(): void
    {
        $names = $this->service->closedNames();
        self::demand($names === [], 'exported were ' . implode(', ', $names));
    }

    protected function transports(): callable
    {
        return function (): FakeTransport {
            return new FakeTransport($this->service);
        };
    }

    /** @return array<string, mixed> */
    private function found(string $filename): array
    {
        $export = $this->service->closed($filename);
        $names = $this->service->closedNames();
        self::demand($export !== null, "no export $filename was closed" . ($names === [] ? '' : '; there are ' . implode(', ', $names)));
        return $export;
    }

    private static function demand(bool $holds, string $what): void
    {
        if (class_exists(\PHPUnit\Framework\Assert::class)) {
            \PHPUnit\Framework\Assert::assertTrue($holds, $what);
        } elseif (!$holds) {
            throw new \AssertionError($what);
        }
    }
}
