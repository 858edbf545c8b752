/** The system's Chromium, without what it would ask the network for by itself. */
import { chromium } from 'playwright-core';

const QUIET = ['quic', 'background-networking', 'component-update', 'sync'].map((what) => `--disable-${what}`);

export const launched = () =>
  chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--no-first-run', ...QUIET] });
