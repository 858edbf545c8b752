<?php

declare(strict_types=1);

namespace Sluice;

/** A column: its type, and how its cells look. `Column::number('#,##0.00')->width(14)`. */
final class Column
{
    public const TYPES = ['string', 'number', 'date', 'datetime', 'boolean'];

    /** @var array<string, mixed> as the API takes it, without the name */
    private $members;

    /** @param array<string, mixed> $members */
    private function __construct(array $members)
    {
        $this->members = $members;
    }

    public static function string(): self
    {
        return new self(['type' => 'string']);
    }

    /** @param string $format of a spreadsheet, such as `#,##0.00` */
    public static function number(string $format = ''): self
    {
        return self::typed('number', $format);
    }

    public static function date(string $format = ''): self
    {
        return self::typed('date', $format);
    }

    public static function datetime(string $format = ''): self
    {
        return self::typed('datetime', $format);
    }

    /** @param string $words such as `yes/no` */
    public static function boolean(string $words = ''): self
    {
        return self::typed('boolean', $words);
    }

    /** The same column, so many characters wide. */
    public function width(int $characters): self
    {
        return new self(['width' => $characters] + $this->members);
    }

    private static function typed(string $type, string $format): self
    {
        return new self(['type' => $type] + ($format === '' ? [] : ['format' => $format]));
    }

    /**
     * Columns as the API takes them.
     *
     * @param array<int|string, string|self|array<string, mixed>> $columns names (of text); or by name a type, a Column, or
     *     its members; or some of both
     * @return list<array<string, mixed>>
     * @throws UsageException for what is no column
     */
    public static function listOf(array $columns): array
    {
        $isList = $columns === [] || array_keys($columns) === range(0, count($columns) - 1);
        $isMixed = !$isList && array_filter(array_keys($columns), 'is_string') !== [];
        $made = [];
        foreach ($columns as $name => $given) {
            if ($isMixed && is_int($name) && is_string($given) && in_array($given, self::TYPES, true)) {
                throw new UsageException("Column $name: is \"$given\" its name or its type? Write ['name' => …, 'type' => …].");
            }
            if ($isList || ($isMixed && is_int($name))) { // without a name of its own: the value is the name
                $one = is_string($given) ? ['name' => $given, 'type' => 'string'] : $given;
            } else {
                $one = ['name' => (string) $name];
                if ($given instanceof self) {
                    $one += $given->members;
                } else {
                    $one += is_array($given) ? $given : ['type' => $given];
                }
            }
            if (!is_array($one) || !is_string($one['name'] ?? null)) {
                throw new UsageException("Column $name: give its name, or by name its type, a Sluice\\Column or an array of its members.");
            }
            if (!in_array($one['type'] ?? 'string', self::TYPES, true)) {
                $given = is_string($one['type']) ? "\"{$one['type']}\"" : gettype($one['type']);
                throw new UsageException("Column {$one['name']}: $given is no type; there are " . implode(', ', self::TYPES) . '.');
            }
            $made[] = $one;
        }
        return $made;
    }
}
