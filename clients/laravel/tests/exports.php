<?php

/** What an application would write: a model, queued exports, and the job that a chain goes on with. */

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Database\Eloquent\Model;
use Sluice\Laravel\QueuedExport;

final class Order extends Model
{
    public $timestamps = false;
    protected $casts = ['paid' => 'boolean', 'at' => 'datetime'];

    public function items()
    {
        return $this->hasMany(Item::class);
    }

    public function itemsByLink()
    {
        return $this->belongsToMany(Item::class, 'links');
    }
}

final class Item extends Model
{
    public $timestamps = false;
}

class OrdersExport extends QueuedExport
{
    /** @var string */
    public $name;

    public function __construct(string $name = 'orders')
    {
        $this->name = $name;
    }

    public function filename(): string
    {
        return "{$this->name}.csv";
    }

    public function key(): string
    {
        return $this->name;
    }

    public function columns(): array
    {
        return ['id' => 'number', 'customer' => 'string', 'amount' => 'number', 'paid' => 'boolean', 'at' => 'datetime'];
    }

    public function query()
    {
        return Order::query();
    }
}

/** The first run is killed at row 30,000, after it has sent some batches. */
final class KilledExport extends OrdersExport
{
    public function map($row): array
    {
        $mark = base_path('was-killed');
        if ($row->id === 30000 && !file_exists($mark)) {
            touch($mark);
            posix_kill(getmypid(), SIGKILL);
        }
        return parent::map($row);
    }
}

/** As a query that its author forgot to order by something unique. */
final class UnorderedExport extends OrdersExport
{
    public function query()
    {
        return Order::query()->orderBy('customer');
    }
}

class SaysDone implements ShouldQueue
{
    use Queueable;

    public function handle(): void
    {
        file_put_contents(base_path('events'), "chain went on\n", FILE_APPEND);
    }
}
