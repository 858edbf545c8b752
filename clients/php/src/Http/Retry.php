<?php

declare(strict_types=1);

namespace Sluice\Http;

use Sluice\Settings;

/** The tries of one call: whether there is another, and after how long. */
final class Retry
{
    /** Nothing waits longer than this because the service asked for it. */
    private const ASKED_MAX = 30.0;

    /** @var Settings */
    private $settings;
    /** @var float */
    private $began;
    /** @var int */
    private $tried = 0;

    public function __construct(Settings $settings)
    {
        $this->settings = $settings;
        $this->began = self::now();
    }

    /** Seconds of a clock that nobody sets. */
    public static function now(): float
    {
        return hrtime(true) / 1e9;
    }

    /** Something moved: tries and pauses begin anew. */
    public function moved(): void
    {
        $this->tried = 0;
        $this->began = self::now();
    }

    /**
     * Seconds until the next try; null when there is none.
     *
     * @param float $asked how long the service asks to wait
     * @param bool $wasReached whether the server answered at any time before
     */
    public function pause(float $asked, bool $wasReached): ?float
    {
        $this->tried++;
        if ($this->tried >= $this->settings->tries) {
            return null;
        }
        $bound = min($this->settings->pause * 2 ** min($this->tried - 1, 30), $this->settings->pauseMax);
        $pause = min($asked, self::ASKED_MAX) + $bound * (0.5 + mt_rand() / mt_getrandmax() / 2);
        $isTooLate = !$wasReached && self::now() + $pause - $this->began > $this->settings->firstContact;
        return $isTooLate ? null : $pause;
    }
}
