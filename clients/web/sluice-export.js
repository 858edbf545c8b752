/**
 * <sluice-export>: a button that starts an export, shows how far it is, and becomes a link to the file.
 *
 *   <sluice-export action="/orders/export"></sluice-export>   asks the application: POST, answered with {"watch_url": …}
 *   <sluice-export watch="https://…/v1/watch/…"></sluice-export>   follows an export that was opened before
 *
 * It needs nothing but a watch address, which shows one export and opens nothing else; the service's API key stays at
 * the application. Where a POST needs more than the page's cookies (a CSRF header, filters), set `element.start`:
 * a function that returns the watch address, or the file itself. Events, which bubble: `sluice-ready` and `sluice-failed`, with what the
 * service last said in `detail`. Parts for styling: button, progress, status, link. Languages: en, zh, by `lang`.
 * `sluice-export-dialog.js` asks what to export before; it and `sluice-dataset.js` use what this module exports.
 */

const WORDS = {
  en: {
    start: 'Export',
    starting: 'Starting…',
    preparing: 'Preparing the file…',
    waiting: 'Waiting for its turn…',
    reading: (rows) => `Reading rows: ${rows}`,
    open: (rows) => `Collecting rows: ${rows}`,
    sealed: 'Waiting for its turn…',
    composing: (percent) => `Writing the file: ${percent} %`,
    ready: 'The file is ready.',
    download: (name) => `Download ${name}`,
    saved: (name) => `The file was downloaded: ${name}`,
    lost: 'No connection; trying again…',
    busy: 'The service is busy; trying again…',
    failed: (why) => `There will be no file: ${why}`,
    again: 'Try again',
    address: 'the server gave no watch address',
    answered: (status) => (status ? `the server answered ${status}` : 'the server cannot be reached; try again'),
    codes: {
      ATTEMPTS_EXHAUSTED: 'writing it failed several times',
      CANCELLED: 'it was cancelled',
      DATASET_NOT_FOUND: 'this export is not offered to you; ask who runs this application',
      EXPIRED: 'its time is over',
      IDEMPOTENCY_KEY_REUSED: 'what may be exported has changed meanwhile; try again',
      INTERNAL: 'the service failed; try again, and write to its operator if it stays so',
      INVALID_REQUEST: ({ detail }) => `the service does not take what was chosen; choose otherwise (${detail ?? ''})`,
      PERMISSION_DENIED: 'you may not have this; ask who runs this application',
      QUEUE_FULL: 'too many exports are waiting; try again later',
      QUOTA_EXCEEDED: 'too many exports are under way; try again later',
      RATE_LIMITED: ({ per_user_hour: most, at }) =>
        most && at
          ? `you have made as many exports within an hour as you may (${most}); the next is possible at ${at}`
          : 'too many requests; try again in a moment',
      RESULT_TOO_LARGE: 'it would be too large; export fewer rows',
      SOURCE_INVALID: 'the table cannot be read as it is defined; its operator must see to it',
      SOURCE_UNAVAILABLE: 'the database does not answer; try again later',
      STORAGE_FULL: 'there is no room; the operator must make some',
      STORE_UNAVAILABLE: 'the service cannot store anything now; try again later',
      TASK_NOT_FOUND: 'there is no such export any more',
      TOO_MANY_ROWS: 'there are more rows than one file may have; export fewer',
      UNAUTHENTICATED: 'you are not signed in any more; sign in and try again',
      UNSUPPORTED_FORMAT: 'this format is not offered here; choose another',
    },
  },
  zh: {
    start: '导出',
    starting: '正在开始…',
    preparing: '正在准备文件…',
    waiting: '排队中…',
    reading: (rows) => `正在读取数据：${rows} 行`,
    open: (rows) => `正在接收数据：${rows} 行`,
    sealed: '排队中…',
    composing: (percent) => `正在生成文件：${percent} %`,
    ready: '文件已生成。',
    download: (name) => `下载 ${name}`,
    saved: (name) => `文件已下载：${name}`,
    lost: '连接中断，正在重试…',
    busy: '服务繁忙，正在重试…',
    failed: (why) => `导出失败：${why}`,
    again: '重试',
    address: '服务器没有返回查看地址',
    answered: (status) => (status ? `服务器返回了 ${status}` : '无法连接服务器，请重试'),
    codes: {
      ATTEMPTS_EXHAUSTED: '多次尝试生成文件均未成功',
      CANCELLED: '已取消',
      DATASET_NOT_FOUND: '您没有此项导出，请联系本应用的管理员',
      EXPIRED: '已过期',
      IDEMPOTENCY_KEY_REUSED: '可导出的内容已有变化，请重试',
      INTERNAL: '服务出错，请重试；若仍不成功，请联系管理员',
      INVALID_REQUEST: ({ detail }) => `服务不接受所选内容，请重新选择（${detail ?? ''}）`,
      PERMISSION_DENIED: '您没有权限，请联系本应用的管理员',
      QUEUE_FULL: '排队的导出过多，请稍后再试',
      QUOTA_EXCEEDED: '同时进行的导出过多，请稍后再试',
      RATE_LIMITED: ({ per_user_hour: most, at }) =>
        most && at ? `一小时内最多导出 ${most} 次，${at} 之后可再次导出` : '请求过于频繁，请稍候再试',
      RESULT_TOO_LARGE: '文件过大，请减少导出的行数',
      SOURCE_INVALID: '数据表与定义不符，请联系管理员',
      SOURCE_UNAVAILABLE: '数据库没有响应，请稍后再试',
      STORAGE_FULL: '存储空间不足，请联系管理员',
      STORE_UNAVAILABLE: '服务暂时无法存储，请稍后再试',
      TASK_NOT_FOUND: '该导出已不存在',
      TOO_MANY_ROWS: '数据行数超出一个文件的上限，请减少导出的行数',
      UNAUTHENTICATED: '登录已失效，请重新登录后再试',
      UNSUPPORTED_FORMAT: '此处不提供该格式，请选择其他格式',
    },
  },
};

/** Whether nothing more happens to an export. */
export const isEnded = (state) => ['completed', 'failed', 'cancelled', 'expired'].includes(state);
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

/** No export was started: `status` is that of the answer or 0, `code`, `message` and `facts` what it said. */
export class NotStarted extends Error {
  constructor(facts) {
    super(facts.detail ?? '');
    this.code = facts.code;
    this.status = facts.status;
    this.facts = facts;
  }
}

/**
 * Why there is no file, in words of the language around the element where there are some for the code, else as the
 * service put it; with the code. `error` has `code`, `message`, `status`, `facts`, as far as there are any.
 */
export function reasonOf(element, { code, message, status, facts }) {
  const { address, answered, codes } = WORDS[wordsFor(element)];
  const seconds = facts?.retry_after_s;
  const at = seconds && new Date(Date.now() + seconds * 1000).toLocaleTimeString(localeOf(element), { timeStyle: 'short' });
  const known = typeof codes[code] === 'function' ? codes[code]({ detail: message, ...facts, at }) : codes[code];
  const unknown = status >= 200 && status < 300 ? address : answered(status);
  const why = known ?? (message || (code && status === undefined ? '' : unknown));
  return code ? `${why} (${code})`.trim() : why;
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

  /**
   * Returns, or promises, the watch address of a new export, or its file: {blob, filename, …}. Gets what `begin` got,
   * and a function that says one of `preparing`, `lost` and `busy` meanwhile.
   */
  start(chosen) {
    return startAt(this.getAttribute('action') ?? '', chosen);
  }

  #events;
  #timer;
  #address;
  #saved;
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
      this.follow(this.getAttribute('watch'));
    } else if (this.#address !== undefined) {
      this.#listen(); // it was moved within the page
    }
  }

  disconnectedCallback() {
    this.#stop();
  }

  attributeChangedCallback(_name, before, address) {
    if (this.isConnected && address !== null && address !== before) {
      this.follow(address);
    }
  }

  /** Does what the button does. */
  async begin(chosen) {
    this.#parts.button.disabled = true;
    this.#parts.link.hidden = true;
    this.#say(this.#words.starting);
    const followed = this.#address;
    try {
      const started = await this.start(chosen, (word) => this.#wait(word));
      if (followed !== this.#address) {
        return;
      }
      if (started?.blob instanceof Blob) {
        this.#save(started);
      } else {
        this.follow(started);
      }
    } catch (error) {
      this.#fail(null, error);
    }
  }

  #wait(word) {
    this.#parts.progress.hidden = false;
    this.#parts.progress.removeAttribute('value');
    this.#say(this.#words[word]);
  }

  /** Hands a file that is here to the browser, and leaves a link to it for who wants it again. */
  #save(file) {
    this.#stop();
    const { progress, link, button } = this.#parts;
    URL.revokeObjectURL(this.#saved);
    this.#saved = URL.createObjectURL(file.blob);
    this.#link(this.#saved, file.filename);
    link.download = file.filename;
    link.click();
    progress.hidden = true;
    button.hidden = true;
    this.#address = undefined;
    this.#say(this.#words.saved(file.filename));
    const { blob, ...said } = file;
    this.#tell('sluice-ready', { state: 'completed', was_saved: true, file_size_bytes: blob.size, ...said });
  }

  #link(address, name) {
    const { link } = this.#parts;
    link.href = address;
    link.textContent = this.#words.download(name ?? '');
    link.removeAttribute('download');
    link.hidden = false;
  }

  /** Shows the export that has this watch address. */
  follow(address) {
    this.#stop();
    if (!isAddress(address)) {
      this.#fail(null, { status: 200 });
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
        this.#fail(seen, { code: seen.code, message: seen.detail, status: answer.status });
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
    const { progress, button } = this.#parts;
    const number = new Intl.NumberFormat(localeOf(this));
    if (seen.progress_percent > 0) {
      progress.value = seen.progress_percent;
    }
    if (!isEnded(seen.state)) {
      const word = this.#words[seen.state];
      const amount = ['open', 'reading'].includes(seen.state) ? number.format(seen.rows_received) : Math.floor(seen.progress_percent);
      this.#say(typeof word === 'function' ? word(amount) : word);
      return;
    }
    if (seen.state !== 'completed') {
      this.#fail(seen, { code: seen.error?.code ?? seen.state.toUpperCase(), message: seen.error?.message });
      return;
    }
    this.#stop();
    progress.hidden = true;
    this.#link(`${this.#address}/file`, seen.filename);
    button.hidden = true;
    this.#say(this.#words.ready);
    this.#address = undefined;
    this.#tell('sluice-ready', seen);
  }

  #fail(seen, error) {
    this.#stop();
    this.#address = undefined;
    const { progress, button } = this.#parts;
    progress.hidden = true;
    this.#say(this.#words.failed(reasonOf(this, error)));
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
