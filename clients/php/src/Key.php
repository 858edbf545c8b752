<?php

declare(strict_types=1);

namespace Sluice;

use Sluice\Http\Calls;

/**
 * The key of an export, and those under which it goes on once an export under it is over.
 *
 * @internal
 */
final class Key
{
    /** How many keys are tried behind one whose exports are over. */
    private const SUCCESSORS_MAX = 50;
    /** What the keys begin with under which a key of the caller's goes on; no caller's key begins so. */
    private const OWN_KEYS = 'sluice:';

    /** @var string */
    private $text = '';
    /** @var bool */
    private $isOurs = true;

    /** @throws UsageException for what can be no key of a caller */
    public static function of(string $text): self
    {
        if ($text === '' || preg_match('/[\x00-\x1f\x7f]/', $text) || !preg_match('//u', $text)) {
            throw new UsageException('A key is printable text.');
        }
        if (preg_match('/^[\s\p{Z}]|[\s\p{Z}]$/Du', $text)) {
            throw new UsageException('A key has no blanks at its ends: HTTP takes them away, and two keys would be one.');
        }
        if (strpos($text, self::OWN_KEYS) === 0) {
            throw new UsageException("No key begins with '" . self::OWN_KEYS . "': the client makes such keys itself.");
        }
        $key = new self();
        $key->text = $text;
        $key->isOurs = false;
        return $key;
    }

    /** Whether it was made here, so that no later run knows it. */
    public function isOurs(): bool
    {
        return $this->isOurs;
    }

    /**
     * Opens an export.
     *
     * @param array<string, mixed> $body
     * @return array<string, mixed> the answer, of the first export of this key that is not over
     */
    public function open(Calls $calls, array $body): array
    {
        $this->text = $this->text !== '' ? $this->text : bin2hex(random_bytes(16));
        for ($number = 1; $number <= self::SUCCESSORS_MAX; $number++) {
            $answer = $this->openUnder($number, $calls, $body);
            if ($answer !== null && Status::of($answer)->failure() === null) {
                return $answer;
            }
        }
        throw new UsageException('The key was begun anew too often; take another.');
    }

    /**
     * @param array<string, mixed> $body
     * @return array<string, mixed>|null null for one that was deleted: its key is not free again yet
     */
    private function openUnder(int $number, Calls $calls, array $body): ?array
    {
        $key = $number === 1 ? $this->text : self::OWN_KEYS . $number . ':' . hash('sha256', $this->text);
        try {
            return $calls->json('POST', '/v1/exports', $body, ['Idempotency-Key' => $key]);
        } catch (ExportFailedException $error) {
            if ($error->code() !== 'TASK_DELETED') {
                throw $error;
            }
            return null;
        }
    }
}
