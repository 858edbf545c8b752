<?php
// The whole table as one body of NDJSON, by curl: pushed once it is answered.
return static function (object $job, array $columns): array {
    $declared = [];
    foreach ($columns as $name => $type) {
        $declared[] = "$name:$type";
    }
    $query = http_build_query(['format' => 'xlsx', 'filename' => 'orders.xlsx', 'columns' => implode(',', $declared)]);
    $id = '';
    return [
        static function (Generator $rows) use ($job, $query, &$id): void {
            $waiting = '';
            $curl = curl_init("$job->url/v1/exports/stream?$query");
            curl_setopt_array($curl, [
                CURLOPT_CUSTOMREQUEST => 'POST',
                CURLOPT_UPLOAD => true,
                CURLOPT_HTTPHEADER => ['Content-Type: application/x-ndjson', 'Expect:'],
                CURLOPT_RETURNTRANSFER => true,
                CURLOPT_READFUNCTION => static function ($curl, $file, int $bytes) use ($rows, &$waiting): string {
                    while (strlen($waiting) < $bytes && $rows->valid()) {
                        $waiting .= json_encode($rows->current(), JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES) . "\n";
                        $rows->next();
                    }
                    $given = substr($waiting, 0, $bytes);
                    $waiting = substr($waiting, $bytes);
                    return $given;
                },
            ]);
            $answer = curl_exec($curl);
            $id = json_decode((string) $answer)->task_id ?? throw new RuntimeException("NDJSON: $answer" . curl_error($curl));
        },
        static function () use ($job, &$id): void {
            (new Sluice\Client($job->url))->find($id)->wait();
        },
    ];
};
