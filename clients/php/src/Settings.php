<?php

declare(strict_types=1);

namespace Sluice;

/** How a client sends. Each setting has a default that suits a script or a queue job; see the README for web requests. */
final class Settings
{
    /** @var int A batch is sent once its JSON has so many bytes, */
    public $batchBytes = 262144;
    /** @var int or so many rows. */
    public $batchRows = 5000;
    /** @var int So many batches are on their way at a time. */
    public $inFlight = 4;
    /** @var int How often one call is tried, the first time included. */
    public $tries = 8;
    /** @var float Seconds before the second try; each further pause is twice as long, half of it random, */
    public $pause = 0.2;
    /** @var float up to so many seconds. */
    public $pauseMax = 20.0;
    /** @var float A server that was never reached is given up after so many seconds: its address may be wrong. */
    public $firstContact = 10.0;
    /** @var float Seconds until a connection must stand. */
    public $connectTimeout = 5.0;
    /** @var float Seconds until a call must be answered; of a download, until its next byte must come. */
    public $answerTimeout = 60.0;
    /** @var bool|null Whether batches are packed; null: where the service is on another machine. Needs ext-zlib. */
    public $gzip = null;
    /** @var string What becomes of text that is not UTF-8: `error`, or `substitute` with the sign U+FFFD. */
    public $utf8 = 'error';
    /** @var array<int, mixed> Options of curl that are set last: a proxy, an authority of your own. */
    public $curl = [];
    /** @var object|null A logger of PSR-3; every repeated call is a warning there. */
    public $logger = null;

    private const KINDS = [
        'batch_bytes' => 'int', 'batch_rows' => 'int', 'in_flight' => 'int', 'tries' => 'int',
        'pause' => 'float', 'pause_max' => 'float', 'first_contact' => 'float', 'connect_timeout' => 'float',
        'answer_timeout' => 'float', 'gzip' => 'bool', 'utf8' => 'string', 'curl' => 'array', 'logger' => 'object',
    ];

    /**
     * @param array<string, mixed> $given by the names above, as in `['in_flight' => 2]`
     * @throws UsageException for a name or a value that is none
     */
    public static function of(array $given): self
    {
        $settings = new self();
        foreach ($given as $name => $value) {
            $kind = self::KINDS[$name] ?? null;
            if ($kind === null) {
                throw new UsageException("There is no setting $name. There are: " . implode(', ', array_keys(self::KINDS)) . '.');
            }
            if (!self::fits($kind, $value)) {
                throw new UsageException("The setting $name takes a value of type $kind" . (in_array($kind, ['int', 'float'], true) ? ' above zero.' : '.'));
            }
            $settings->{lcfirst(str_replace('_', '', ucwords($name, '_')))} = $value;
        }
        if (!in_array($settings->utf8, ['error', 'substitute'], true)) {
            throw new UsageException('The setting utf8 is error or substitute.');
        }
        return $settings;
    }

    /** @return array<string, mixed> without the values of curl's options: a proxy's password may be among them */
    public function __debugInfo(): array
    {
        return ['curl' => array_keys($this->curl), 'logger' => $this->logger === null ? null : get_class($this->logger)] + get_object_vars($this);
    }

    /** @param mixed $value */
    private static function fits(string $kind, $value): bool
    {
        switch ($kind) {
            case 'int':
                return is_int($value) && $value > 0;
            case 'float':
                return (is_int($value) || is_float($value)) && $value > 0;
            case 'bool':
                return $value === null || is_bool($value);
            case 'array':
                return is_array($value);
            case 'object':
                return $value === null || is_object($value);
            default:
                return is_string($value);
        }
    }
}
