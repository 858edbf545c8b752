<?php

declare(strict_types=1);

return [
    // Where the service is, and the API key; the key goes to that server only.
    'url' => env('SLUICE_URL', 'http://127.0.0.1:9091'),
    'key' => env('SLUICE_KEY', ''),

    // Settings of Sluice\Client by their names, as in ['tries' => 2]. Repeated calls are warnings in the application's log.
    'settings' => [],
];
