<?php

declare(strict_types=1);

namespace Sluice\Tests;

use PHPUnit\Framework\TestCase;
use Sluice\Client;
use Sluice\Column;
use Sluice\Http\Problem;
use Sluice\Http\Response;
use Sluice\Http\Retry;
use Sluice\InvalidRowException;
use Sluice\Progress;
use Sluice\Settings;
use Sluice\SourceChangedException;
use Sluice\UsageException;
use Sluice\Webhook;

final class ClientTest extends TestCase
{
    public function testColumnsAreNamesTypesObjectsOrMembers(): void
    {
        $columns = ['id' => 'number', 'amount' => Column::number('#,##0.00')->width(14), 'paid' => ['type' => 'boolean', 'format' => 'yes/no']];
        self::assertSame([
            ['name' => 'id', 'type' => 'number'],
            ['name' => 'amount', 'width' => 14, 'type' => 'number', 'format' => '#,##0.00'],
            ['name' => 'paid', 'type' => 'boolean', 'format' => 'yes/no'],
        ], Column::listOf($columns));
        self::assertSame([['name' => 'a', 'type' => 'string'], ['name' => 'b', 'type' => 'string']], Column::listOf(['a', 'b']));
        self::assertSame([['name' => 'id', 'type' => 'number'], ['name' => 'b', 'type' => 'string']], Column::listOf(['id' => 'number', 'b']));
        self::assertSame([['name' => '2024', 'type' => 'number']], Column::listOf([2024 => 'number']));
    }

    public function wrong(): array
    {
        return [
            'no address' => [static function (): void { new Client('exports.example.com'); }],
            'another scheme' => [static function (): void { new Client('ftp://exports.example.com'); }],
            'a user in the address' => [static function (): void { new Client('https://me:secret@exports.example.com'); }],
            'a key with a line break' => [static function (): void { new Client('https://e', "slc\r\nX: 1"); }],
            'no such setting' => [static function (): void { new Client('https://e', '', ['trys' => 2]); }],
            'a setting of another type' => [static function (): void { new Client('https://e', '', ['tries' => '2']); }],
            'no tries' => [static function (): void { new Client('https://e', '', ['tries' => 0]); }],
            'no format' => [static function (): void { (new Client('https://e'))->export('orders'); }],
            'no such type' => [static function (): void { Column::listOf(['a' => 'int']); }],
            'a name or a type' => [static function (): void { Column::listOf(['a' => 'number', 'date']); }],
            'no columns' => [static function (): void { Client::fake()->export('a.csv')->open(); }],
            'a sheet that is not declared' => [static function (): void { Client::fake()->export('a.xlsx')->sheet('A', ['x'])->write([], 'B'); }],
            'columns and a sheet' => [static function (): void { Client::fake()->export('a.xlsx')->columns(['x'])->sheet('A', ['x']); }],
            'columns of an open export' => [static function (): void { Client::fake()->export('a.csv')->columns(['x'])->open()->columns(['y']); }],
            'no id' => [static function (): void { Client::fake()->find(''); }],
            'an empty key' => [static function (): void { Client::fake()->export('a.csv')->key(''); }],
        ];
    }

    /** @dataProvider wrong */
    public function testWhatIsWrongInItselfThrowsBeforeAnythingIsSent(callable $call): void
    {
        $this->expectException(UsageException::class);
        $call();
    }

    public function testTheFakeKeepsRowsInOrderAndRefusesAsInEarnest(): void
    {
        $sluice = Client::fake();
        $sluice->assertNothingExported();
        $rows = (static function (): \Generator {
            for ($number = 1; $number <= 12000; $number++) {
                yield [$number, "row $number"];
            }
        })();
        $export = $sluice->export('orders.xlsx')->columns(['id' => 'number', 'text'])->write($rows);
        $sluice->assertExported('orders.xlsx', static function (array $rows): bool {
            return count($rows) === 12000 && $rows[11999] === [12000, 'row 12000'];
        });
        self::assertSame(12000, $export->wait()->rows());
        self::assertStringEndsWith("[12000,\"row 12000\"]\n", stream_get_contents($export->stream()));
        $this->expectException(InvalidRowException::class);
        $sluice->export('bad.csv')->columns(['a'])->write([["\xff"]]);
    }

    public function testTheFakeKnowsAKeyAgainAndAChangedSource(): void
    {
        $sluice = Client::fake();
        $make = static function (string $name) use ($sluice) {
            return $sluice->export('orders.csv')->columns(['a'])->key($name);
        };
        $make('k')->push([['1']]);
        self::assertSame($make('k')->id(), $make('k')->write([['1']])->id());
        $make('other')->push([['1']]);
        $this->expectException(SourceChangedException::class);
        $make('other')->write([['2']]);
    }

    public function testThePausesDoubleHalfOfEachIsChanceAndTheServiceMayAskForMore(): void
    {
        $retry = new Retry(Settings::of(['tries' => 6, 'pause' => 1.0, 'pause_max' => 4.0]));
        $pauses = [];
        while (($pause = $retry->pause(0.0, true)) !== null) {
            $pauses[] = $pause;
        }
        self::assertCount(5, $pauses);
        foreach ([1.0, 2.0, 4.0, 4.0, 4.0] as $number => $bound) {
            self::assertGreaterThanOrEqual($bound / 2, $pauses[$number]);
            self::assertLessThanOrEqual($bound, $pauses[$number]);
        }
        $asked = (new Retry(Settings::of(['pause' => 0.001])))->pause(7.0, true);
        self::assertGreaterThanOrEqual(7.0, $asked);
        self::assertNull((new Retry(Settings::of(['first_contact' => 1.0])))->pause(7.0, false), 'a server that never answered');
    }

    public function testAnswersThatAreNoneOfTheServiceAreNamed(): void
    {
        $error = Problem::of(new Response(413, [], '<html>too large</html>'), 'https://e', 't1');
        self::assertNotNull($error);
        self::assertSame(['UNEXPECTED_ANSWER', 413, false, 't1'], [$error->code(), $error->status(), $error->retryable(), $error->taskId()]);
        self::assertStringContainsString('client_max_body_size', $error->getMessage());
        $hostile = Problem::of(new Response(400, [], '{"code":"\u001b[2J"}'), 'https://e', '');
        self::assertSame('UNEXPECTED_ANSWER', $hostile->code());
    }

    public function testANoticeIsGenuineOrRefused(): void
    {
        $secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
        $body = '{"test": 2432232314}';
        $headers = ['Webhook-Id' => 'msg_p5jXN8AQM9LWM0D4loKWxJek', 'webhook-timestamp' => '1614265330', 'webhook-signature' => 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='];
        self::assertSame(['test' => 2432232314], Webhook::verify($body, $headers, ['whsec_b2xk', $secret], 1614265330));
        $changed = [
            'body' => [$body . ' ', $headers, $secret, 1614265330],
            'secret' => [$body, $headers, 'whsec_b2xk', 1614265330],
            'time' => [$body, $headers, $secret, 1614265330 + 301],
            'id' => [$body, ['Webhook-Id' => 'other'] + $headers, $secret, 1614265330],
            'no signature' => [$body, ['webhook-signature' => ''] + $headers, $secret, 1614265330],
        ];
        foreach ($changed as $what => $arguments) {
            try {
                Webhook::verify(...$arguments);
                self::fail("$what was not noticed");
            } catch (\Sluice\AuthException $error) {
                self::assertSame('NOT_GENUINE', $error->code());
            }
        }
    }

    public function testASecondWriteOfOneTableIsRefusedAndStepsAreNot(): void
    {
        $sluice = Client::fake();
        $export = $sluice->export('a.csv')->columns(['a'])->write([['1']]);
        try {
            $export->write([['2']]);
            self::fail('its rows would be in no file');
        } catch (UsageException $error) {
            self::assertStringContainsString('push()', $error->getMessage());
        }
        $sluice->export('b.csv')->columns(['a'])->push([['1']])->push([['2']])->close();
        self::assertSame([['1'], ['2']], $sluice->rowsOf('b.csv'));
        $shop = $sluice->export('c.xlsx')->sheet('0', ['a'])->sheet('1', ['a'])->write([['1']], '0')->write([['2']], '0')->write([['3']], '1');
        self::assertSame([['1'], ['2'], ['3']], $sluice->rowsOf('c.xlsx'));
        $this->expectException(UsageException::class);
        $shop->write([['4']], '0');
    }

    public function testRunsAfterARestartGoOnWithTheNewExport(): void
    {
        $sluice = Client::fake();
        $run = static function (array $rows) use ($sluice) {
            $export = $sluice->export('orders.csv')->columns(['a'])->key('k');
            try {
                return $export->write($rows);
            } catch (SourceChangedException $changed) {
                return $export->restart()->write($rows);
            }
        };
        $first = $sluice->export('orders.csv')->columns(['a'])->key('k')->push([['1'], ['2']])->id();
        $second = $run([['1'], ['3']])->id();
        self::assertNotSame($first, $second);
        self::assertSame([$second, $second], [$run([['1'], ['3']])->id(), $run([['1'], ['3']])->id()]);
        self::assertSame([['1'], ['3']], $sluice->rowsOf('orders.csv'));
        $sluice->find($second)->delete();
        self::assertNotContains($run([['1']])->id(), [$first, $second], 'one that was deleted is over');
    }

    public function testARunThatStoppedIsGivenUpAndOneThatWasClosedMeanwhileStays(): void
    {
        $sluice = Client::fake();
        $orders = static function () use ($sluice) { return $sluice->export('orders.csv')->columns(['a'])->key('k'); };
        $stopped = $orders()->push([['1']]);
        $mine = $orders()->open();
        self::assertTrue($mine->restartIfStopped(0.1));
        self::assertNotSame($stopped->id(), $mine->id());
        $other = $orders()->write([['2']]);
        self::assertSame($mine->id(), $other->id());
        self::assertFalse($mine->restartIfStopped(0.1));
        self::assertSame('completed', $other->status()->state);
        self::assertSame([['2']], $sluice->rowsOf('orders.csv'));
    }

    public function testRowsThatFailedHalfWayAreTheSameBatchesWhenTheyAreSentAgain(): void
    {
        $sluice = Client::fake();
        $export = $sluice->export('orders.csv')->columns(['a', 'b'])->key('k');
        $rows = static function (int $bad): \Generator {
            for ($number = 1; $number <= 12000; $number++) {
                yield [(string) $number, $number === $bad ? "\xff" : 'x'];
            }
        };
        try {
            $export->write($rows(11000));
            self::fail('the row is no text');
        } catch (InvalidRowException $error) {
            self::assertSame(11000, $error->row());
        }
        $export->write($rows(0));
        self::assertCount(12000, $sluice->rowsOf('orders.csv'));
    }

    public function testABatchEndsWithTheRowThatReachesItsBytesAndOnlyThen(): void
    {
        foreach ([[1019, [262145, 1025]], [1018, [262912]]] as [$characters, $expected]) { // 1,024 bytes a row, or 1,023
            $bytes = [];
            $row = [str_repeat('x', $characters)];
            Client::fake()->export('a.csv')->columns(['a'])->onProgress(static function (Progress $progress) use (&$bytes): void {
                $bytes[$progress->batches] = $progress->bytes;
            })->write(array_fill(0, 257, $row));
            self::assertSame($expected, array_values(array_map(static function (int $all, int $before): int {
                return $all - $before;
            }, $bytes, array_merge([0], array_slice($bytes, 0, -1)))));
        }
    }

    public function testAnExportFoundByItsIdTakesNumberedBatchesAndNothingThatNeedsItsDefinition(): void
    {
        $sluice = Client::fake();
        $id = $sluice->export('a.csv')->columns(['d' => 'date'])->id();
        $day = new \DateTimeImmutable('2026-11-02 00:00 +08:00');
        $calls = [
            static function () use ($sluice, $id): void { $sluice->find($id)->write([]); },
            static function () use ($sluice, $id): void { $sluice->find($id)->push([['x']]); },
            static function () use ($sluice, $id): void { $sluice->find($id)->restart(); },
            static function () use ($sluice, $id): void { $sluice->find($id)->restartIfStopped(); },
            static function () use ($sluice, $id, $day): void { $sluice->find($id)->push([[$day]], 1); },
        ];
        foreach ($calls as $number => $call) {
            try {
                $call();
                self::fail("call $number was not refused");
            } catch (UsageException $error) {
                self::assertStringContainsString('found', $error->getMessage());
            }
        }
        $sluice->find($id)->columns(['d' => 'date'])->push([[$day]], 1);
        $found = $sluice->find($id);
        $found->status();
        $found->close();
        self::assertSame([['2026-11-02']], $sluice->rowsOf('a.csv'));
    }

    public function testNumbersHaveTheirDigitsWhateverPhpIniSays(): void
    {
        $before = ini_get('serialize_precision');
        try {
            foreach (['17', '6', '-1'] as $precision) {
                ini_set('serialize_precision', $precision);
                $sluice = Client::fake();
                $sluice->export('a.jsonl')->columns(['n' => 'number', 'm' => 'number'])->write([[19.99, 20250314.55]]);
                self::assertSame([[19.99, 20250314.55]], $sluice->rowsOf('a.jsonl'));
                self::assertSame($precision, ini_get('serialize_precision'));
            }
        } finally {
            ini_set('serialize_precision', (string) $before);
        }
    }

    public function testNoDumpAndNoTraceHasAKeyOrAPassword(): void
    {
        $before = ini_get('zend.exception_ignore_args');
        ini_set('zend.exception_ignore_args', '0');
        try {
            $client = new Client('http://127.0.0.1:1', 'slc_of-nobody', ['tries' => 1, 'curl' => [CURLOPT_PROXYUSERPWD => 'me:password-of-proxy']]);
            $client->export('a.csv')->columns(['a'])->open();
            self::fail('nothing listens there');
        } catch (\Sluice\TransportException $error) {
            $ours = array_filter($error->getTrace(), static function (array $frame): bool {
                return strncmp($frame['class'] ?? '', 'Sluice\\', 7) === 0 && $frame['class'] !== self::class;
            });
            self::assertGreaterThan(3, count($ours));
            foreach ([print_r($ours, true), print_r($client, true), (string) $error] as $dump) {
                self::assertFalse(strpos($dump, 'slc_of-nobody'));
                self::assertFalse(strpos($dump, 'password-of-proxy'));
            }
        } finally {
            ini_set('zend.exception_ignore_args', (string) $before);
        }
    }

    public function testMembersOfAnotherKindAreNoAnswerOfTheService(): void
    {
        $right = ['task_id' => 't', 'state' => 'failed', 'warnings' => [['kind' => 'k', 'count' => 1]], 'error' => ['code' => 'X', 'message' => 'm']];
        self::assertSame(['k' => 1], \Sluice\Status::of($right)->warnings);
        $odd = [
            'task_id' => 5, 'state' => null, 'filename' => [], 'format' => [], 'rows_received' => 'x', 'progress_percent' => [],
            'file_size_bytes' => 'x', 'checksum_sha256' => [], 'warnings' => 5, 'expires_at' => 1, 'error' => 'x',
        ];
        foreach ([...array_map(null, array_keys($odd), $odd), ['warnings', ['x']], ['warnings', [['kind' => 1]]], ['error', ['code' => []]]] as [$name, $value]) {
            try {
                \Sluice\Status::of([$name => $value] + $right)->failure();
                self::fail("$name of another kind was taken");
            } catch (\Sluice\TransportException $error) {
                self::assertSame('UNEXPECTED_ANSWER', $error->code());
            }
        }
    }

    public function testRowsThatCannotBeReadTwiceAreNotTakenForTheWholeTable(): void
    {
        $pdo = new \PDO('sqlite::memory:');
        $query = $pdo->query('SELECT 1 AS a UNION SELECT 2 UNION SELECT 3', \PDO::FETCH_NUM);
        $sluice = Client::fake();
        $sluice->export('a.csv')->columns(['a'])->key('k')->push([['9']]);
        $export = $sluice->export('a.csv')->columns(['a'])->key('k');
        try {
            $export->write($query);
            self::fail('other rows were sent before');
        } catch (SourceChangedException $changed) {
            $export->restart();
        }
        try {
            $export->write($query);
            self::fail('its first rows were read');
        } catch (UsageException $error) {
            self::assertStringContainsString('again', $error->getMessage());
        }
        $export->write($pdo->query('SELECT 1 AS a UNION SELECT 2 UNION SELECT 3', \PDO::FETCH_NUM));
        self::assertCount(3, $sluice->rowsOf('a.csv'));
    }

    public function testAWriteThatFailedWithoutAKeyMayBeRepeated(): void
    {
        $sluice = Client::fake();
        $export = $sluice->export('a.csv')->columns(['a']);
        try {
            $export->write([['1'], ["\xff"]]);
            self::fail('the row is no text');
        } catch (InvalidRowException $error) {
            $export->write([['1'], ['2']]);
        }
        self::assertSame([['1'], ['2']], $sluice->rowsOf('a.csv'));
    }

    public function testWhatIsNeverClosedIsNotWaitedFor(): void
    {
        $sluice = Client::fake();
        $shop = $sluice->export('a.xlsx')->sheet('A', ['x'])->sheet('B', ['x'])->write([], 'A');
        foreach ([[$shop, 'B'], [$sluice->export('b.csv')->columns(['x'])->push([['1']]), 'close()']] as [$export, $missing]) {
            try {
                $export->wait(0);
                self::fail('it would wait for ever');
            } catch (UsageException $error) {
                self::assertStringContainsString($missing, $error->getMessage());
            }
        }
    }

    public function testTheProgressOfAnAnnouncedTableCoversTheSending(): void
    {
        $seen = [];
        Client::fake()->export('a.csv')->columns(['a'])->expect(12000)
            ->onProgress(static function (\Sluice\Progress $progress) use (&$seen): void { $seen[] = $progress->percent; })
            ->write(array_fill(0, 12000, ['x']))->wait();
        self::assertSame([31.25, 62.5, 75.0, 100.0], $seen);
    }

    public function testARowWithANameTooManyIsAnInvalidRow(): void
    {
        $error = Problem::named('INVALID_REQUEST', 'An object has a name that is no column\'s.', ['facts' => ['row' => 2]]);
        self::assertInstanceOf(InvalidRowException::class, $error);
        self::assertInstanceOf(UsageException::class, Problem::named('INVALID_REQUEST', 'No JSON.', []));
    }

    /** What a silent connection gives is as far as the query came: that is no table. */
    public function testAQueryThatFailsHalfWayIsNoWholeTable(): void
    {
        $pdo = new \PDO('sqlite::memory:', null, null, [\PDO::ATTR_ERRMODE => \PDO::ERRMODE_SILENT]);
        $numbers = 'WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 5000) ';
        $query = $pdo->query($numbers . 'SELECT CASE WHEN id = 3000 THEN abs(-9223372036854775807 - 1) ELSE id END FROM n', \PDO::FETCH_NUM);
        $sluice = Client::fake();
        try {
            $sluice->export('orders.csv')->columns(['id' => 'number'])->write($query);
            self::fail('2,001 rows are missing');
        } catch (UsageException $error) {
            self::assertSame('SOURCE_FAILED', $error->code());
            self::assertStringContainsString('overflow', $error->getMessage());
        }
        self::assertSame('cancelled', $sluice->list()->current()->state);
        $whole = $pdo->query($numbers . 'SELECT id FROM n', \PDO::FETCH_NUM);
        self::assertCount(5000, $sluice->export('whole.csv')->columns(['id' => 'number'])->write($whole) ? $sluice->rowsOf('whole.csv') : []);
    }

    /** As a job does that is repeated: it describes the export anew, and has the statement that was read half-way. */
    public function testRowsThatFailedInOneExportAreNoTableOfAnother(): void
    {
        $pdo = new \PDO('sqlite::memory:');
        $broken = $pdo->query("SELECT 1 AS a UNION SELECT x'ff' UNION SELECT 3 ORDER BY 1", \PDO::FETCH_NUM);
        $sluice = Client::fake();
        $codes = [];
        for ($attempt = 0; $attempt < 2; $attempt++) {
            try {
                $sluice->export('a.csv')->columns(['a'])->write($broken);
            } catch (\Sluice\SluiceException $error) {
                $codes[] = $error->code();
            }
        }
        self::assertSame(['INVALID_TEXT', 'USAGE'], $codes);
        $again = $pdo->prepare('SELECT ? AS a');
        foreach (['1', '2'] as $number) { // a statement that was read to its end may be run again
            $again->setFetchMode(\PDO::FETCH_NUM);
            $again->execute([$number]);
            $sluice->export("$number.csv")->columns(['a'])->write($again);
            self::assertSame([[$number]], $sluice->rowsOf("$number.csv"));
        }
    }

    /** As a program does that makes a second file of what it made the first of. */
    public function testRowsThatWereReadToTheirEndAreNoEmptyTable(): void
    {
        $sluice = Client::fake();
        $query = (new \PDO('sqlite::memory:'))->query('SELECT 1 AS a UNION SELECT 2', \PDO::FETCH_NUM);
        foreach ([$query, new \NoRewindIterator(new \ArrayIterator([['1'], ['2']]))] as $number => $rows) {
            self::assertSame(2, $sluice->export("$number.csv")->columns(['a'])->write($rows)->rows());
            $calls = [
                static function () use ($sluice, $rows) { $sluice->export('again.csv')->columns(['a'])->write($rows); },
                static function () use ($sluice, $rows) { $sluice->export('numbered.csv')->columns(['a'])->push($rows, 1); },
            ];
            foreach ($calls as $call) {
                try {
                    $call();
                    self::fail('a table of no rows');
                } catch (UsageException $error) {
                    self::assertStringContainsString('read before', $error->getMessage());
                }
            }
        }
        $empty = new \NoRewindIterator(new \EmptyIterator());
        foreach (['none.csv', 'none.jsonl'] as $name) {
            self::assertSame(0, $sluice->export($name)->columns(['a'])->write($empty)->rows());
        }
    }

    /** The handler of a signal may throw while a call waits; its late answer is not that of the next call. */
    public function testTheAnswerToACallThatWasBrokenOffIsNoOtherCallsAnswer(): void
    {
        $transport = new class () implements \Sluice\Http\Transport {
            public $started = [];
            public $abandoned = 0;
            public $breaks = true;

            public function start(\Sluice\Http\Request $request): void
            {
                $this->started[] = $request;
            }

            public function results(float $seconds): array
            {
                if ($this->breaks) {
                    $this->breaks = false;
                    throw new \RuntimeException('time is over');
                }
                return array_map(static function (\Sluice\Http\Request $one): array {
                    return [$one, new Response(200, [], json_encode(['url' => $one->url]))];
                }, array_splice($this->started, 0));
            }

            public function abandon(): void
            {
                $this->abandoned++;
            }
        };
        $calls = new \Sluice\Http\Calls('http://localhost', '', Settings::of([]), static function () use ($transport) { return $transport; });
        try {
            $calls->json('GET', '/first');
            self::fail('it was broken off');
        } catch (\RuntimeException $over) {
            self::assertSame(1, $transport->abandoned);
        }
        self::assertSame('http://localhost/second', $calls->json('GET', '/second')['url']);
    }
}
