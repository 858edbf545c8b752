<?php

declare(strict_types=1);

namespace Sluice;

/**
 * What models of Eloquent and ThinkORM have in columns, accessors and casts included. Their own array would leave out
 * what they hide, and make texts of their dates.
 */
final class ModelCells
{
    /**
     * @param list<string>|null $names of the columns; null for all that the row of the database had
     * @return array<string, mixed>|null those that the model has; null for what is no such model
     */
    public static function of(object $row, ?array $names): ?array
    {
        if (method_exists($row, 'getAttributes') && method_exists($row, 'getAttribute')) {
            $had = $row->getAttributes();
            $value = [$row, 'getAttribute'];
            $makes = static function (string $name) use ($row): bool {
                return (method_exists($row, 'hasGetMutator') && $row->hasGetMutator($name))
                    || (method_exists($row, 'hasAttributeGetMutator') && $row->hasAttributeGetMutator($name));
            };
        } elseif (method_exists($row, 'getData') && method_exists($row, 'getAttr')) {
            $had = $row->getData();
            $value = [$row, 'getAttr'];
            $makes = static function (string $name) use ($row): bool {
                return method_exists($row, 'get' . str_replace('_', '', ucwords($name, '_')) . 'Attr');
            };
        } else {
            return null;
        }
        $cells = [];
        foreach ($names ?? array_keys($had) as $name) {
            if (array_key_exists($name, $had) || $makes((string) $name)) {
                $cells[$name] = $value($name);
            }
        }
        return $cells;
    }
}
