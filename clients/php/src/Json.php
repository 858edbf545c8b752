<?php

declare(strict_types=1);

namespace Sluice;

use function ini_get;
use function json_encode;

/** JSON in which a number has all its digits and no more, whatever php.ini says (`serialize_precision`). */
final class Json
{
    public const SETTING = 'serialize_precision';
    public const SHORTEST_THAT_IS_EXACT = '-1';

    /**
     * @param mixed $value
     * @return string|false as json_encode() gives it
     */
    public static function encode($value, int $flags)
    {
        $before = ini_get(self::SETTING);
        if ($before === self::SHORTEST_THAT_IS_EXACT) {
            return json_encode($value, $flags);
        }
        ini_set(self::SETTING, self::SHORTEST_THAT_IS_EXACT);
        try {
            return json_encode($value, $flags);
        } finally {
            ini_set(self::SETTING, (string) $before);
        }
    }
}
