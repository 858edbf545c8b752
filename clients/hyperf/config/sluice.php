<?php

declare(strict_types=1);

use function Hyperf\Support\env;

return [
    // Where the service is, and the API key; the key goes to that server only.
    'url' => env('SLUICE_URL', 'http://127.0.0.1:9091'),
    'key' => env('SLUICE_KEY', ''),

    // Settings of Sluice\Client by their names, as in ['tries' => 2].
    'settings' => [],
];
