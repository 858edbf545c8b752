package io.sluice.client;

import java.util.function.DoubleSupplier;

/** The tries of one call: whether there is another, and after how long. */
final class Retry {
    /** Nothing waits longer than this because the service asked for it. */
    private static final double ASKED_MAX = 30;

    private final Settings settings;
    private final DoubleSupplier clock;
    private final DoubleSupplier random;
    private double began;
    private int tried;

    /**
     * @param clock seconds
     * @param random from 0 to 1
     */
    Retry(Settings settings, DoubleSupplier clock, DoubleSupplier random) {
        this.settings = settings;
        this.clock = clock;
        this.random = random;
        this.began = clock.getAsDouble();
    }

    /** Something moved: tries and pauses begin anew. */
    void moved() {
        tried = 0;
        began = clock.getAsDouble();
    }

    /**
     * Seconds until the next try; negative when there is none.
     *
     * @param asked seconds that the service asks to wait
     * @param wasReached whether the server answered at any time before
     */
    double pause(double asked, boolean wasReached) {
        tried++;
        if (tried >= settings.tries) {
            return -1;
        }
        double bound = Math.min(settings.pause * Math.pow(2, Math.min(tried - 1, 30)), settings.pauseMax);
        double seconds = Math.min(asked, ASKED_MAX) + bound * (0.5 + random.getAsDouble() / 2);
        boolean isTooLate = !wasReached && clock.getAsDouble() + seconds - began > settings.firstContact;
        return isTooLate ? -1 : seconds;
    }
}
