<?php

declare(strict_types=1);

namespace Export;

/**
 * The calls of the service, as the client has them that the gRPC extension's generator makes, over ext-curl's HTTP/2.
 *
 * Each takes a message, metadata (`['authorization' => ['Bearer slc_…']]`) and options (`['timeout' => microseconds]`).
 */
final class ExportServiceClient
{
    private const ANSWERS = [
        'QueryTaskStatus' => TaskStatusResponse::class,
        'OpenExport' => ExportResponse::class,
        'PutBatch' => BatchAck::class,
        'CloseExport' => TaskStatusResponse::class,
        'CancelExport' => TaskStatusResponse::class,
        'RenderExport' => ExportResponse::class,
        'CreateDownloadLink' => DownloadLink::class,
        'ListTasks' => ListTasksResponse::class,
        'ListDatasets' => ListDatasetsResponse::class,
        'DescribeDataset' => DatasetDescription::class,
        'PreviewDataset' => DatasetPreview::class,
        'ExportDataset' => DatasetExport::class,
        'ListDatasetExports' => ListDatasetExportsResponse::class,
    ];

    /** @var string */
    private $address;
    /** @var \Grpc\ChannelCredentials|null */
    private $credentials;

    /**
     * @param string $host such as `exports.example.com:443`
     * @param array<string, mixed> $options `credentials` as {@see \Grpc\ChannelCredentials} makes them
     */
    public function __construct(string $host, array $options = [])
    {
        $this->credentials = $options['credentials'] ?? null;
        $this->address = ($this->credentials === null ? 'http://' : 'https://') . $host . '/export.ExportService/';
    }

    /**
     * Sends rows and receives the task at once, and the result at the end.
     *
     * @param array<string, string|list<string>> $metadata
     * @param array<string, mixed> $options
     */
    public function StreamExport(array $metadata = [], array $options = []): Call
    {
        return $this->call('StreamExport', ExportResponse::class, $metadata, $options);
    }

    /**
     * The calls of one message: `list($answer, $status) = $client->QueryTaskStatus($request)->wait();`.
     *
     * @param array{0: \Google\Protobuf\Internal\Message, 1?: array<string, string|list<string>>, 2?: array<string, mixed>} $arguments
     */
    public function __call(string $method, array $arguments): Call
    {
        if (!isset(self::ANSWERS[$method])) {
            throw new \BadMethodCallException("The service has no call $method.");
        }
        return $this->call($method, self::ANSWERS[$method], $arguments[1] ?? [], $arguments[2] ?? [], $arguments[0]);
    }

    /**
     * @param class-string<\Google\Protobuf\Internal\Message> $answer
     * @param array<string, string|list<string>> $metadata
     * @param array<string, mixed> $options
     */
    private function call(string $method, string $answer, array $metadata, array $options, ?\Google\Protobuf\Internal\Message $only = null): Call
    {
        return new Call($this->address . $method, $answer, $metadata, $this->credentials, (int) ($options['timeout'] ?? 0), $only);
    }
}
