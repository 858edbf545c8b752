<?php
// One stream of gRPC, as the example of the earlier service has it: batches of 1,000 records of texts.
require __DIR__ . '/../../../../clients/php-export/autoload.php';

use Export\ColumnDefinition;
use Export\DataBatch;
use Export\ExportFormat;
use Export\ExportMetadata;
use Export\ExportRequest;
use Export\ExportServiceClient;
use Export\Record;

return static function (object $job, array $columns): array {
    $call = (new ExportServiceClient($job->grpc, ['credentials' => Grpc\ChannelCredentials::createInsecure()]))->StreamExport();
    $declared = [];
    foreach ($columns as $name => $type) {
        $declared[] = new ColumnDefinition(['name' => $name, 'data_type' => constant('Export\DataType::DATA_TYPE_' . strtoupper($type))]);
    }
    $send = static function (array $records, int $sequence) use ($call): void {
        $call->write(new ExportRequest(['batch' => new DataBatch(['records' => $records, 'batch_sequence' => $sequence])]));
    };
    return [
        static function (iterable $rows) use ($call, $declared, $send): void {
            $metadata = new ExportMetadata(['format' => ExportFormat::FORMAT_EXCEL, 'filename' => 'orders.xlsx', 'columns' => $declared]);
            $call->write(new ExportRequest(['metadata' => $metadata]));
            $call->read();
            $records = [];
            $sequence = 0;
            foreach ($rows as $row) {
                $row[7] = $row[7] ? 'true' : 'false';
                $records[] = new Record(['values' => array_map('strval', $row)]);
                if (count($records) === 1000) {
                    $send($records, ++$sequence);
                    $records = [];
                }
            }
            if ($records !== []) {
                $send($records, ++$sequence);
            }
            $call->writesDone();
        },
        static function () use ($call, $job): void {
            [$result, $status] = $call->read();
            if ($status->code !== Grpc\STATUS_OK || (int) $result->getRecordCount() !== $job->rows) {
                throw new RuntimeException("gRPC: $status->code $status->details");
            }
        },
    ];
};
