// Query status
$statusRequest = new Export\TaskStatusRequest(['task_id' => $taskId]);
list($statusResponse, $status) = $client->QueryTaskStatus($statusRequest)->wait();

echo "Status: " . $statusResponse->getStatus() . "\n";
echo "Progress: " . $statusResponse->getProgressPercent() . "%\n";

if ($statusResponse->getStatus() === Export\TaskStatus::TASK_STATUS_COMPLETED) {
    echo "Download URL: " . $statusResponse->getOssUrl() . "\n";
}
