/**
 * <sluice-export>: a button that starts an export, shows how far it is, and becomes a link to the file.
 *
 *   <sluice-export action="/orders/export"></sluice-export>   asks the application: POST, answered with {"watch_url": …}
 *   <sluice-export watch="https://…/v1/watch/…"></sluice-export>   follows an export that was opened before
 *
 * It needs nothing but a watch address, which shows one export and opens nothing else; the service's API key stays at
 * the application. Where a POST needs more than the page's cookies (a CSRF header, filters), set `element.start`:
 * a function that returns the watch address. Events, which bubble: `sluice-ready` and `sluice-failed`, with what the
 * service last said in `detail`. Parts for styling: button, progress, status, link. Languages: en, zh, by `lang`.
 * `sluice-export-dialog.js` asks what to export before; it uses what this module exports.
 */

const WORDS = {
  en: {
    start: 'Export',
    starting: 'Starting…',
    open: (rows) => `Collecting rows: ${rows}`,
    sealed: 'Waiting for its turn…',
    composing: (percent) => `Writing the file: ${percent} %`,
    ready: 'The file is ready.',
    download: (name) => `Download ${name}`,
    lost: 'No connection; trying again…',
    failed: (why) => `There will be no file: ${why}`,
    again: 'Try again',
    address: 'the server gave no watch address',
    answered: (status) => (status ? `the server answered ${status}` : 'the server cannot be reached'),
    codes: {
      ATTEMPTS_EXHAUSTED: 'writing it failed several times',
      CANCELLED: 'it was cancelled',
      EXPIRED: 'its time is over',
      QUEUE_FULL: 'too many exports are waiting; try again later',
      QUOTA_EXCEEDED: 'too many exports are under way; try again later',
      RATE_LIMITED: 'too many requests; try again in a moment',
      RESULT_TOO_LARGE: 'it would be too large; export fewer rows',
      STORAGE_FULL: 'there is no room; the operator must make some',
      TASK_NOT_FOUND: 'there is no such export any more',
    },
  },
  zh: {
    start: '导出',
    starting: '正在开始…',
    open: (rows) => `正在接收数据：${rows} 行`,
    sealed: '排队中…',
    composing: (percent) => `正在生成文件：${percent} %`,
    ready: '文件已生成。',
    download: (name) => `下载 ${name}`,
    lost: '连接中断，正在重试…',
    failed: (why) => `导出失败：${why}`,
    again: '重试',
    address: '服务器没有返回查看地址',
    answered: (status) => (status ? `服务器返回了 ${status}` : '无法连接服务器'),
    codes: {
      ATTEMPTS_EXHAUSTED: '多次尝试生成文件均未成功',
      CANCELLED: '已取消',
      EXPIRED: '已过期',
      QUEUE_FULL: '排队的导出过多，请稍后再试',
      QUOTA_EXCEEDED: '同时进行的导出过多，请稍后再试',
      RATE_LIMITED: '请求过于频繁，请稍候再试',
      RESULT_TOO_LARGE: '文件过大，请减少导出的行数',
      STORAGE_FULL: '存储空间不足，请联系管理员',
      TASK_NOT_FOUND: '该导出已不存在',
    },
  },
};

const ENDED = ['completed', 'failed', 'cancelled', 'expired'];
const PAUSE_MS = 2000;

const isAddress = (address) => {
  try {
    return typeof address === 'string' && /^https?:/.test(new URL(address, document.baseURI).protocol);
  } catch {
    return false;
  }
};

const STYLE = `
:host { display: inline-flex; flex-wrap: wrap; gap: 0.5em; align-items: center; font: inherit; }
:host([hidden]), [hidden] { display: none !important; }
button, a { font: inherit; }
progress { inline-size: 12em; max-inline-size: 100%; }
`;

/** The language around an element, as of a page or of the browser. */
export const localeOf = (element) => element.closest('[lang]')?.lang || navigator.language;

/** 'zh' or 'en', whichever the language around the element is nearer to. */
export const wordsFor = (element) => (localeOf(element).toLowerCase().startsWith('zh') ? 'zh' : 'en');

/** Gives a shadow root its styles in a way that a policy without 'unsafe-inline' allows. */
export function styled(root, text) {
  const style = new CSSStyleSheet();
  style.replaceSync(text);
  root.adoptedStyleSheets = [style];
}

/** The page's server started no export: `status` is that of its answer or 0, `code` and `message` what it said. */
export class NotStarted extends Error {
  constructor({ code, detail, status }) {
    super(detail ?? '');
    this.code = code;
    this.status = status;
  }
}

/** Asks the page's own server for an export, with `chosen` as JSON where there is something; returns its watch address. */
export async function startAt(action, chosen, headers = {}) {
  const answer = await fetch(action, {
    method: 'POST',
    credentials: 'same-origin',
    headers: { Accept: 'application/json', ...(chosen && { 'Content-Type': 'application/json' }), ...headers },
    body: chosen && JSON.stringify(chosen),
  }).catch(() => null);
  if (answer === null) {
    throw new NotStarted({ status: 0 });
  }
  const said = await answer.json().catch(() => null);
  if (!answer.ok || typeof said?.watch_url !== 'string') {
    throw new NotStarted({ ...said, status: answer.status });
  }
  return said.watch_url;
}

export class SluiceExport extends HTMLElement {
  static observedAttributes = ['watch'];

  /** Returns, or promises, the watch address of a new export; gets what `begin` got. */
  start = (chosen) => startAt(this.getAttribute('action') ?? '', chosen);

  #events;
  #timer;
  #address;
  #parts = {};

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open', delegatesFocus: true });
    styled(root, STYLE);
    const make = (name, part) => {
      const element = document.createElement(name);
      element.part = part;
      this.#parts[part] = element;
      root.append(element);
      return element;
    };
    make('button', 'button').type = 'button';
    Object.assign(make('progress', 'progress'), { max: 100, hidden: true });
    make('span', 'status').setAttribute('role', 'status');
    make('a', 'link').hidden = true;
    this.#parts.button.addEventListener('click', () => this.begin());
  }

  get #words() {
    return WORDS[wordsFor(this)];
  }

  connectedCallback() {
    this.#parts.button.textContent = this.textContent.trim() || this.#words.start;
    this.#parts.progress.setAttribute('aria-label', this.#words.start);
    if (this.hasAttribute('watch')) {
      this.#follow(this.getAttribute('watch'));
    } else if (this.#address !== undefined) {
      this.#listen(); // it was moved within the page
    }
  }

  disconnectedCallback() {
    this.#stop();
  }

  attributeChangedCallback(_name, before, address) {
    if (this.isConnected && address !== null && address !== before) {
      this.#follow(address);
    }
  }

  /** Does what the button does. */
  async begin(chosen) {
    this.#parts.button.disabled = true;
    this.#parts.link.hidden = true;
    this.#say(this.#words.starting);
    const followed = this.#address;
    try {
      const address = await this.start(chosen);
      if (followed === this.#address) {
        this.#follow(address);
      }
    } catch (error) {
      const { address, answered } = this.#words;
      const started = error.status >= 200 && error.status < 300;
      this.#fail(null, error.code, error.message || (started ? address : answered(error.status)));
    }
  }

  #follow(address) {
    this.#stop();
    if (!isAddress(address)) {
      this.#fail(null, undefined, this.#words.address);
      return;
    }
    this.#address = address.replace(/\/$/, '');
    this.#parts.button.hidden = true;
    this.#parts.link.hidden = true;
    this.#parts.progress.hidden = false;
    this.#parts.progress.removeAttribute('value');
    this.#listen();
  }

  /** Events where they come through; a look every two seconds where a proxy keeps them. */
  #listen() {
    const events = new EventSource(`${this.#address}/events`);
    this.#events = events;
    events.onmessage = (event) => this.#show(JSON.parse(event.data));
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) {
        this.#stop();
        this.#look();
      } else {
        this.#say(this.#words.lost);
      }
    };
  }

  async #look() {
    const asked = this.#address;
    try {
      const answer = await fetch(asked, { credentials: 'omit' });
      const seen = await answer.json();
      if (asked !== this.#address) {
        return; // it follows another export by now
      }
      if (answer.ok) {
        this.#show(seen);
      } else if (answer.status < 500 && answer.status !== 429) {
        this.#fail(seen, seen.code, seen.detail ?? this.#words.answered(answer.status));
        return;
      }
    } catch {
      if (asked === this.#address) {
        this.#say(this.#words.lost);
      }
    }
    if (asked === this.#address && asked !== undefined && this.isConnected) {
      this.#timer = setTimeout(() => this.#look(), PAUSE_MS);
    }
  }

  #show(seen) {
    const { progress, link, button } = this.#parts;
    const number = new Intl.NumberFormat(localeOf(this));
    if (seen.progress_percent > 0) {
      progress.value = seen.progress_percent;
    }
    if (!ENDED.includes(seen.state)) {
      const word = this.#words[seen.state];
      const amount = seen.state === 'open' ? number.format(seen.rows_received) : Math.floor(seen.progress_percent);
      this.#say(typeof word === 'function' ? word(amount) : word);
      return;
    }
    if (seen.state !== 'completed') {
      this.#fail(seen, seen.error?.code ?? seen.state.toUpperCase(), seen.error?.message);
      return;
    }
    this.#stop();
    progress.hidden = true;
    link.href = `${this.#address}/file`;
    link.textContent = this.#words.download(seen.filename ?? '');
    link.hidden = false;
    button.hidden = true;
    this.#say(this.#words.ready);
    this.#address = undefined;
    this.#tell('sluice-ready', seen);
  }

  /** In words of the page's language where the code has some, else as the service put it; with the code. */
  #fail(seen, code, message) {
    this.#stop();
    this.#address = undefined;
    const { progress, button } = this.#parts;
    progress.hidden = true;
    const why = this.#words.codes[code] ?? message ?? '';
    this.#say(this.#words.failed(code ? `${why} (${code})`.trim() : why));
    button.textContent = this.#words.again;
    button.disabled = false;
    button.hidden = this.hasAttribute('watch') && !this.hasAttribute('action');
    this.#tell('sluice-failed', seen);
  }

  #stop() {
    this.#events?.close();
    clearTimeout(this.#timer);
  }

  /** The sentence is read out when it changes, so a number that changes every moment is not part of it for long. */
  #say(sentence) {
    if (this.#parts.status.textContent !== sentence) {
      this.#parts.status.textContent = sentence;
    }
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }));
  }
}

customElements.define('sluice-export', SluiceExport);
