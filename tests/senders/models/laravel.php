<?php

/** A model of Eloquent with `$hidden`, in a queued export, and in one of Laravel-Excel that names no columns. */

namespace Sluice\Laravel\Tests;

require 'CLIENTS/laravel/tests/application.php';
require 'CLIENTS/laravel/tests/excel_interfaces.php';

use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Schema;

$app = application(__DIR__ . '/app');
migrate();
Schema::create('people', static function (Blueprint $table): void {
    $table->id();
    $table->string('name');
    $table->string('secret');
});
foreach ([1, 2, 3] as $id) {
    DB::table('people')->insert(['name' => "shown $id", 'secret' => "hidden $id"]);
}

class Person extends Model
{
    protected $table = 'people';
    protected $hidden = ['secret'];
}

final class People extends OrdersExport
{
    public function columns(): array { return COLUMNS; }

    public function query() { return Person::query(); }

    protected function completed(\Sluice\Export $export, \Sluice\Status $status): void { $export->saveTo('people.csv'); }
}

final class PeopleOfExcel implements \Maatwebsite\Excel\Concerns\FromQuery
{
    use \Sluice\Laravel\Excel\Exportable;

    public function query() { return Person::query(); }
}

try {
    People::dispatchSync('people of ' . count(COLUMNS));
} catch (\Sluice\Throwable $refused) {
    echo $refused->getMessage();
}
(new PeopleOfExcel())->store('people.csv');
rename(storage_path('app/people.csv'), __DIR__ . '/unnamed.csv');
