<?php
// Our client: pushed once every row is acknowledged.
return static function (object $job, array $columns): array {
    $export = (new Sluice\Client($job->url, '', (array) $job->settings))->export('orders.xlsx')->columns($columns);
    return [
        static function (iterable $rows) use ($export): void {
            $export->push($rows);
        },
        static function () use ($export): void {
            $export->close()->wait();
        },
    ];
};
