<?php

declare(strict_types=1);

namespace Sluice\Tests;

use PHPUnit\Framework\TestCase;
use Sluice\Column;
use Sluice\InvalidRowException;
use Sluice\RowEncoder;

final class Text
{
    public function __toString(): string
    {
        return 'as text';
    }
}

final class Model
{
    public function toArray(): array
    {
        return ['id' => 7, 'name' => 'of a model', 'day' => null, 'at' => null];
    }
}

/** As Eloquent's: its own array hides the name, and has the day in UTC. */
final class HidingModel
{
    private $attributes = ['id' => 7, 'name' => 'hidden', 'day' => '2026-11-30', 'at' => null];

    public function getAttributes(): array
    {
        return $this->attributes;
    }

    public function hasGetMutator(string $name): bool
    {
        return $name === 'made';
    }

    public function getAttribute(string $name)
    {
        $made = ['made' => 'by an accessor', 'day' => new \DateTimeImmutable('2026-11-30 00:00', new \DateTimeZone('Asia/Shanghai'))];
        return $made[$name] ?? $this->attributes[$name];
    }

    public function toArray(): array
    {
        return ['id' => 7, 'day' => '2026-11-29T16:00:00.000000Z', 'at' => null];
    }
}

final class RowEncoderTest extends TestCase
{
    private const COLUMNS = ['id' => 'number', 'name' => 'string', 'day' => 'date', 'at' => 'datetime'];

    private function encoder(bool $substitutes = false, array $columns = self::COLUMNS): RowEncoder
    {
        return new RowEncoder(Column::listOf($columns), '', $substitutes);
    }

    private function refusal($row, int $number = 5): InvalidRowException
    {
        try {
            $this->encoder()->encode($row, $number);
        } catch (InvalidRowException $error) {
            return $error;
        }
        self::fail('it was not refused');
    }

    public function rows(): array
    {
        $evening = new \DateTimeImmutable('2025-03-01 00:30:00.5 +08:00');
        return [
            'a list' => [[1, 'a', null, true], '[1,"a",null,true]'],
            'a map' => [['id' => 1, 'name' => '王伟 😀'], '{"id":1,"name":"王伟 😀"}'],
            'digits' => [['20250314000000000123', 0.1, -0.5, 1e300], '["20250314000000000123",0.1,-0.5,1.0e+300]'],
            'what JSON escapes' => [["a\"\\\n\u{2028}/", ''], "[\"a\\\"\\\\\\n\u{2028}/\",\"\"]"],
            'a date keeps its day' => [[1, $evening, $evening, $evening], '[1,"2025-03-01T00:30:00.500000+08:00","2025-03-01","2025-03-01T00:30:00.500000+08:00"]'],
            'a date by name' => [['day' => $evening], '{"day":"2025-03-01"}'],
            'a text' => [[1, new Text()], '[1,"as text"]'],
            'a model' => [new Model(), '{"id":7,"name":"of a model","day":null,"at":null}'],
            'PDO::FETCH_OBJ' => [(object) ['id' => 1], '{"id":1}'],
            'an iterator' => [new \ArrayIterator([1, 2]), '[1,2]'],
        ];
    }

    /** @dataProvider rows */
    public function testARowIsJson($row, string $json): void
    {
        self::assertSame($json, $this->encoder()->encode($row, 1));
        self::assertNotNull(json_decode($json));
    }

    public function refused(): array
    {
        return [
            'text that is not UTF-8' => [[1, "\xff"], 'INVALID_TEXT', 'name'],
            'NAN' => [[NAN], 'INVALID_VALUE', 'id'],
            'INF by name' => [['name' => INF], 'INVALID_VALUE', 'name'],
            'an array' => [[1, ['x']], 'INVALID_VALUE', 'name'],
            'an object without text' => [[1, new \stdClass()], 'INVALID_VALUE', 'name'],
            'a closure' => [[static function (): void {
            }], 'INVALID_VALUE', 'id'],
            'a resource' => [[1, STDIN], 'INVALID_VALUE', 'name'],
            'a cell beyond the columns' => [[1, 2, 3, 4, "\xff"], 'INVALID_TEXT', '5'],
            'no row' => ['text', 'INVALID_REQUEST', null],
            'a list with holes' => [[0 => 1, 2 => 2], 'INVALID_REQUEST', null],
            'PDO::FETCH_BOTH' => [['id' => 1, 0 => 1], 'INVALID_REQUEST', null],
            'a name that is not UTF-8' => [["\xff" => 1], 'INVALID_TEXT', null],
        ];
    }

    /** @dataProvider refused */
    public function testWhatIsNoCellIsRefusedByRowAndColumn($row, string $code, ?string $column): void
    {
        $error = $this->refusal($row);
        self::assertSame([$code, 5, $column, 'client', false], [$error->code(), $error->row(), $error->column(), $error->who(), $error->retryable()]);
        self::assertStringContainsString('row 5', $error->getMessage());
    }

    public function testNamesThatAreNumbersAreNames(): void
    {
        self::assertSame('{"2024":1,"2025":2}', $this->encoder(false, [2024 => 'number', 2025 => 'number'])->encode([2024 => 1, 2025 => 2], 1));
    }

    public function testTheTypeOfADateIsThatOfItsPlaceInAListAndOfItsNameInAMap(): void
    {
        $day = new \DateTimeImmutable('2026-11-02 08:30 +08:00');
        $encoder = new RowEncoder([['name' => '1', 'type' => 'datetime'], ['name' => '0', 'type' => 'date']], '', false);
        self::assertSame('["2026-11-02T08:30:00.000000+08:00","2026-11-02"]', $encoder->encode([$day, $day], 1));
        self::assertSame('{"1":"2026-11-02T08:30:00.000000+08:00","0":"2026-11-02"}', $encoder->encode([1 => $day, 0 => $day], 1));
    }

    public function testTextThatIsNotUtf8MayBeSubstituted(): void
    {
        self::assertSame("[1,\"a\u{fffd}b\"]", $this->encoder(true)->encode([1, "a\xffb"], 1));
    }

    /** @requires PHP >= 8.1 */
    public function testABackedEnumIsItsValueAndAnotherIsRefused(): void
    {
        eval('enum Paid: string { case Yes = "y"; } enum Bare { case One; }');
        self::assertSame('[1,"y"]', $this->encoder()->encode([1, \Paid::Yes], 1));
        self::assertSame('INVALID_VALUE', $this->refusal([1, \Bare::One])->code());
    }

    public function testAModelIsReadByTheNamesOfTheColumns(): void
    {
        $columns = ['made' => 'string'] + self::COLUMNS;
        $json = $this->encoder(false, $columns)->encode(new HidingModel(), 1);
        self::assertSame('{"made":"by an accessor","id":7,"name":"hidden","day":"2026-11-30","at":null}', $json);
    }

    public function testWhatAnObjectDoesNotShowIsNotTakenForEmpty(): void
    {
        foreach ([new HidingModel(), new Model()] as $row) {
            try {
                $this->encoder(false, ['id' => 'number', 'secret' => 'string'])->encode($row, 3);
                self::fail('it is not empty');
            } catch (InvalidRowException $error) {
                self::assertSame(['INVALID_REQUEST', 3, 'secret'], [$error->code(), $error->row(), $error->column()]);
            }
        }
    }
}
