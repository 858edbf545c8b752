<?php

/** Objects of which a part is private; their own array leaves it out. */

require 'CLIENTS/php/sluice.php';

final class Person
{
    public $id;
    public $name;
    private $secret;

    public function __construct(int $id)
    {
        [$this->id, $this->name, $this->secret] = [$id, "shown $id", "hidden $id"];
    }
}

try {
    Sluice\Client::fromEnv()->export('people.csv')->columns(COLUMNS)->write(array_map(static function (int $id): Person { return new Person($id); }, [1, 2, 3]))->wait()->saveTo('people.csv');
} catch (Sluice\Throwable $refused) {
    echo $refused->getMessage();
}
