<?php

declare(strict_types=1);

namespace Sluice\Symfony;

use Psr\Container\ContainerInterface;
use Psr\EventDispatcher\EventDispatcherInterface;
use Sluice\Client;
use Sluice\NotReadyException;
use Sluice\SourceChangedException;
use Sluice\Throwable as SluiceError;
use Sluice\UsageException;
use Symfony\Component\Messenger\Exception\RecoverableMessageHandlingException;
use Symfony\Component\Messenger\Exception\UnrecoverableMessageHandlingException;
use Symfony\Component\Messenger\MessageBusInterface;
use Symfony\Component\Messenger\Stamp\DelayStamp;

/**
 * Handles the messages of this bundle. A message that comes again goes on under the export's key; an error that may pass
 * brings it back as often as it takes, one that will not pass goes to the failure transport at once.
 */
final class ExportHandler
{
    private const PAUSE_MS = 5000;

    /** @var Client */
    private $sluice;
    /** @var ContainerInterface of export sources by their class */
    private $sources;
    /** @var MessageBusInterface */
    private $bus;
    /** @var EventDispatcherInterface */
    private $events;
    /** @var int */
    private $patience;

    /** @param int $patience seconds for which a worker waits for a file */
    public function __construct(Client $sluice, ContainerInterface $sources, MessageBusInterface $bus, EventDispatcherInterface $events, int $patience)
    {
        $this->sluice = $sluice;
        $this->sources = $sources;
        $this->bus = $bus;
        $this->events = $events;
        $this->patience = $patience;
    }

    public function push(PushExport $message): void
    {
        $id = $this->withErrorsOfMessenger(function () use ($message): string {
            if (!$this->sources->has($message->source)) {
                throw new UsageException("There is no service {$message->source} that is an ExportSource (autoconfigured, or tagged sluice.export_source).");
            }
            $source = $this->sources->get($message->source);
            $export = $source->describe($this->sluice, $message->arguments);
            try {
                $export->write($source->rows($message->arguments));
            } catch (SourceChangedException $changed) { // since a run that stopped half-way: that one is given up
                try {
                    $isAnew = $export->restartIfStopped();
                } catch (NotReadyException $other) { // another worker is sending it
                    throw new RecoverableMessageHandlingException($other->getMessage(), 0, $other);
                }
                if ($isAnew) {
                    $export->write($source->rows($message->arguments));
                }
            }
            return $export->id();
        });
        $this->bus->dispatch(new AwaitExport($id, $message));
    }

    public function await(AwaitExport $message): void
    {
        $export = $this->sluice->find($message->taskId);
        try {
            $status = $this->withErrorsOfMessenger(function () use ($export) {
                return $export->wait($this->patience)->status();
            });
        } catch (NotReadyException $later) {
            $this->bus->dispatch($message, [new DelayStamp(self::PAUSE_MS)]);
            return;
        }
        $this->events->dispatch(new ExportCompleted($status, $message->pushed));
    }

    /** @return mixed what the call gives */
    private function withErrorsOfMessenger(callable $call)
    {
        try {
            return $call();
        } catch (NotReadyException $later) {
            throw $later;
        } catch (SluiceError $error) {
            if ($error->retryable() && !$error instanceof \Sluice\ExportFailedException) {
                throw new RecoverableMessageHandlingException($error->getMessage(), 0, $error);
            }
            throw new UnrecoverableMessageHandlingException($error->getMessage(), 0, $error);
        }
    }
}
