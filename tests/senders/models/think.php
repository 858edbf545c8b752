<?php

/** Models as ThinkORM's: their array leaves out what they hide. */

require 'CLIENTS/think/tests/framework.php';

final class Person
{
    private $data;

    public function __construct(int $id) { $this->data = ['id' => $id, 'name' => "shown $id", 'secret' => "hidden $id"]; }

    public function getData() { return $this->data; }

    public function getAttr(string $name) { return $this->data[$name]; }

    public function toArray() { return array_diff_key($this->data, ['secret' => true]); }
}

final class People
{
    public function getPk() { return 'id'; }

    public function getOptions(string $name) { return null; }

    public function order($column) { }

    public function cursor(): Generator
    {
        foreach ([1, 2, 3] as $id) {
            yield new Person($id);
        }
    }
}

$app = new think\App(['url' => getenv('SLUICE_URL')]);
(new Sluice\Think\SluiceService($app))->register();
try {
    export_to_sluice(new People(), 'people.csv', COLUMNS)->wait()->saveTo('people.csv');
} catch (Sluice\Throwable $refused) {
    echo $refused->getMessage();
}
