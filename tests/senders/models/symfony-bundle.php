<?php

/** Entities with a private part, from a source of the bundle, sent by a worker of Messenger. */

require 'CLIENTS/symfony-bundle/tests/Kernel.php';

use Sluice\Symfony\Tests\{Kernel, Listener};
use Symfony\Component\Messenger\Stamp\ErrorDetailsStamp;

final class Person
{
    public $id;
    public $name;
    private $secret;

    public function __construct(int $id)
    {
        [$this->id, $this->name, $this->secret] = [$id, "shown $id", "hidden $id"];
    }

    public function getSecret(): string { return $this->secret; }
}

final class People implements Sluice\Symfony\ExportSource
{
    public function describe(Sluice\Client $sluice, array $arguments): Sluice\Export
    {
        return $sluice->export('people.csv')->columns(COLUMNS);
    }

    public function rows(array $arguments): iterable
    {
        foreach ([1, 2, 3] as $id) {
            yield new Person($id);
        }
    }
}

$kernel = new Kernel(['url' => getenv('SLUICE_URL')], [People::class]);
$kernel->boot();
$kernel->dispatch(new Sluice\Symfony\PushExport(People::class));
while (Listener::$heard === [] && $kernel->waiting('failed') === []) {
    $kernel->consume(1);
}
foreach ($kernel->waiting('failed') as $failed) {
    echo $failed->last(ErrorDetailsStamp::class)->getExceptionMessage();
}
foreach (Listener::$heard as $event) {
    $kernel->services()->get(Sluice\Client::class)->find($event->status->taskId)->saveTo('people.csv');
}
$kernel->remove();
