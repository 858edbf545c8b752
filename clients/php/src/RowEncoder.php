<?php

declare(strict_types=1);

namespace Sluice;

// By their full names these are a step each; otherwise every cell and row would cost a call.
use function ini_get;
use function is_array;
use function is_object;
use function json_encode;

/**
 * Rows of one table as JSON. A cell is null, a boolean, a number, a text, a date, a backed enum or what has a text form.
 *
 * What cannot be a cell is refused before it is sent, with its row and column.
 */
final class RowEncoder
{
    /** @var array<int|string, string> the type of a column by its name */
    private $typesByName = [];
    /** @var array<int, string> and by its place */
    private $types = [];
    /** @var array<int, string> */
    private $names = [];
    /** @var bool */
    private $isKnown;
    /** @var int */
    private $flags;
    /** @var string */
    private $sheet;

    /** @param list<array<string, mixed>>|null $columns as {@see Column::listOf()} gives them; null where nobody said them */
    public function __construct(?array $columns, string $sheet, bool $substitutes)
    {
        $this->isKnown = $columns !== null;
        foreach ($columns ?? [] as $column) {
            $this->names[] = $column['name'];
            $this->types[] = $column['type'] ?? 'string';
            $this->typesByName[$column['name']] = $column['type'] ?? 'string';
        }
        $this->sheet = $sheet;
        $this->flags = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_LINE_TERMINATORS
            | ($substitutes ? JSON_INVALID_UTF8_SUBSTITUTE : 0);
    }

    /**
     * One row as JSON: a list by place, or an object by the column's name.
     *
     * @param mixed $row an array, or an object that can become one (a model, a row of PDO::FETCH_OBJ)
     * @param int $number of the row in its table, from 1, for errors
     * @throws InvalidRowException
     */
    public function encode($row, int $number): string
    {
        if (!is_array($row)) {
            $row = $this->arrayOf($row, $number);
        }
        foreach ($row as $cell) {
            if (is_object($cell) || is_array($cell)) {
                $row = $this->plain($row, $number);
                break;
            }
        }
        $isExact = ini_get(Json::SETTING) === Json::SHORTEST_THAT_IS_EXACT; // asked here, to save a call for each row
        $json = $isExact ? json_encode($row, $this->flags) : Json::encode($row, $this->flags);
        if ($json === false) {
            throw $this->whyNot($row, $number);
        }
        if ($json[0] === '{') {
            $this->checkNames($row, $number);
        }
        return $json;
    }

    /** The row with a plain value in place of each object. */
    private function plain(array $row, int $number): array
    {
        $isList = array_key_exists(0, $row) && array_key_last($row) === count($row) - 1;
        foreach ($row as $column => $cell) {
            if (is_object($cell)) {
                $row[$column] = $this->cellOf($cell, $column, $number, $isList);
            } elseif (is_array($cell)) {
                throw $this->refused('INVALID_VALUE', 'A cell holds one value, not an array; json_encode() makes a text of it', $column, $number);
            }
        }
        return $row;
    }

    /** @param mixed $row */
    private function arrayOf($row, int $number): array
    {
        if (is_object($row)) {
            $cells = ModelCells::of($row, $this->isKnown ? $this->names : null);
            if ($cells === null) {
                $cells = method_exists($row, 'toArray') ? $row->toArray() : ($row instanceof \Traversable ? iterator_to_array($row) : get_object_vars($row));
            }
            $mayLeaveOut = $row instanceof \stdClass || $row instanceof \Traversable || is_int(key($cells));
            foreach ($mayLeaveOut ? [] : $this->names as $name) {
                if (!array_key_exists($name, $cells)) { // hidden, private or not read, which is not empty
                    throw $this->refused('INVALID_REQUEST', 'The object shows nothing of this name', $name, $number);
                }
            }
            return $cells;
        }
        $facts = $this->placeOf($number);
        throw new InvalidRowException('A row is an array of cells or an object, not ' . gettype($row), 'INVALID_REQUEST', ['facts' => $facts, 'who' => 'client']);
    }

    /**
     * @param object $cell
     * @param int|string $column
     * @return mixed
     */
    private function cellOf($cell, $column, int $number, bool $isList)
    {
        if ($cell instanceof \DateTimeInterface) {
            if (!$this->isKnown) {
                throw new UsageException('How a date is sent depends on its column: say columns() for an export that was found by its id.');
            }
            // The day that the program sees: with its offset, a date could become the day before.
            $type = ($isList ? $this->types : $this->typesByName)[$column] ?? '';
            if ($type === 'date') {
                return $cell->format('Y-m-d');
            }
            if ($cell->getOffset() % 60 !== 0) { // of long ago: ISO 8601 has no seconds in an offset
                $cell = (clone $cell)->setTimezone(new \DateTimeZone('UTC'));
            }
            return $cell->format('Y-m-d\TH:i:s.uP');
        }
        if ($cell instanceof \BackedEnum) {
            return $cell->value;
        }
        if (method_exists($cell, '__toString')) {
            return (string) $cell;
        }
        throw $this->refused('INVALID_VALUE', 'A cell cannot hold an object of class ' . get_class($cell), $column, $number);
    }

    /** A list with holes would become an object, and a row of PDO::FETCH_BOTH has each cell twice. */
    private function checkNames(array $row, int $number): void
    {
        foreach ($row as $column => $cell) {
            if (is_int($column) && !in_array((string) $column, $this->names, true)) {
                throw new InvalidRowException(
                    'A row by place is a list without holes, and one by name has names only (PDO::FETCH_NUM or PDO::FETCH_ASSOC; array_values())',
                    'INVALID_REQUEST',
                    ['facts' => $this->placeOf($number), 'who' => 'client']
                );
            }
        }
    }

    private function whyNot(array $row, int $number): InvalidRowException
    {
        foreach ($row as $column => $cell) {
            if (Json::encode($cell, $this->flags) !== false) {
                continue;
            }
            if (is_string($cell)) {
                return $this->refused('INVALID_TEXT', "The text is not UTF-8; convert it, or set 'utf8' => 'substitute'", $column, $number);
            }
            $what = is_float($cell) ? 'the number ' . (is_nan($cell) ? 'NAN' : 'INF') : 'a value of type ' . gettype($cell);
            return $this->refused('INVALID_VALUE', "A cell cannot hold $what", $column, $number);
        }
        return new InvalidRowException('A name of a cell is not UTF-8', 'INVALID_TEXT', ['facts' => $this->placeOf($number), 'who' => 'client']);
    }

    /** @param int|string $column */
    private function refused(string $code, string $detail, $column, int $number): InvalidRowException
    {
        $name = is_int($column) ? $this->names[$column] ?? (string) ($column + 1) : $column;
        return new InvalidRowException($detail, $code, ['facts' => ['column' => $name] + $this->placeOf($number), 'who' => 'client']);
    }

    /** @return array<string, mixed> */
    private function placeOf(int $number): array
    {
        return ['row' => $number] + ($this->sheet === '' ? [] : ['sheet' => $this->sheet]);
    }
}
