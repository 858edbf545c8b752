<?php
require 'vendor/autoload.php';

use Export\ExportServiceClient;
use Export\ExportRequest;
use Export\ExportMetadata;
use Export\ColumnDefinition;
use Export\DataBatch;
use Export\Record;

// Create gRPC client
$client = new ExportServiceClient('localhost:9090', [
    'credentials' => Grpc\ChannelCredentials::createInsecure()
]);

// Open streaming export
$call = $client->StreamExport();

// Send metadata
$metadata = new ExportMetadata([
    'request_id' => uniqid(),
    'format' => Export\ExportFormat::FORMAT_CSV,
    'filename' => 'export_' . date('Y-m-d') . '.csv',
    'columns' => [
        new ColumnDefinition(['name' => 'ID', 'data_type' => Export\DataType::DATA_TYPE_NUMBER]),
        new ColumnDefinition(['name' => 'Name', 'data_type' => Export\DataType::DATA_TYPE_STRING]),
        new ColumnDefinition(['name' => 'Email', 'data_type' => Export\DataType::DATA_TYPE_STRING]),
    ]
]);

$request = new ExportRequest(['metadata' => $metadata]);
$call->write($request);

// Receive task ID
list($response, $status) = $call->read();
$taskId = $response->getTaskId();
echo "Task ID: $taskId\n";

// Stream data in batches
$batchSize = 1000;
$sequence = 1;

// Fetch data from database
$stmt = $pdo->query("SELECT id, name, email FROM users");
$batch = [];

while ($row = $stmt->fetch()) {
    $batch[] = new Record([
        'values' => [$row['id'], $row['name'], $row['email']]
    ]);
    
    if (count($batch) >= $batchSize) {
        $dataBatch = new DataBatch([
            'records' => $batch,
            'batch_sequence' => $sequence++
        ]);
        $call->write(new ExportRequest(['batch' => $dataBatch]));
        $batch = [];
    }
}

// Send remaining records
if (!empty($batch)) {
    $dataBatch = new DataBatch([
        'records' => $batch,
        'batch_sequence' => $sequence
    ]);
    $call->write(new ExportRequest(['batch' => $dataBatch]));
}

// Close stream and get result
$call->writesDone();
list($finalResponse, $status) = $call->read();

if ($status->code === Grpc\STATUS_OK) {
    echo "Export completed!\n";
    echo "OSS URL: " . $finalResponse->getOssUrl() . "\n";
    echo "File size: " . $finalResponse->getFileSizeBytes() . " bytes\n";
    echo "Records: " . $finalResponse->getRecordCount() . "\n";
} else {
    echo "Export failed: " . $finalResponse->getErrorMessage() . "\n";
}
