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
  },
};

const ENDED = ['completed', 'failed', 'cancelled', 'expired'];
const PAUSE_MS = 2000;

const STYLE = `
:host { display: inline-flex; flex-wrap: wrap; gap: 0.5em; align-items: center; font: inherit; }
:host([hidden]), [hidden] { display: none !important; }
button, a { font: inherit; }
progress { inline-size: 12em; max-inline-size: 100%; }
`;

class SluiceExport extends HTMLElement {
  static observedAttributes = ['watch'];

  /** Returns, or promises, the watch address of a new export. */
  start = async () => {
    const answer = await fetch(this.getAttribute('action') ?? '', {
      method: 'POST',
      credentials: 'same-origin',
      headers: { Accept: 'application/json' },
    });
    if (!answer.ok) {
      throw new Error(`${answer.status}`);
    }
    return (await answer.json()).watch_url;
  };

  #events;
  #timer;
  #address;
  #parts = {};

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open', delegatesFocus: true });
    const style = new CSSStyleSheet();
    style.replaceSync(STYLE);
    root.adoptedStyleSheets = [style];
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
    this.#parts.button.addEventListener('click', () => this.#begin());
  }

  get #words() {
    const language = this.closest('[lang]')?.lang || navigator.language;
    return WORDS[language.toLowerCase().startsWith('zh') ? 'zh' : 'en'];
  }

  get #locale() {
    return this.closest('[lang]')?.lang || navigator.language;
  }

  connectedCallback() {
    this.#parts.button.textContent = this.textContent.trim() || this.#words.start;
    this.#parts.progress.setAttribute('aria-label', this.#words.start);
    if (this.hasAttribute('watch')) {
      this.#follow(this.getAttribute('watch'));
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

  async #begin() {
    this.#parts.button.disabled = true;
    this.#say(this.#words.starting);
    const followed = this.#address;
    try {
      const address = await this.start();
      if (followed === this.#address) {
        this.#follow(address);
      }
    } catch (error) {
      this.#fail(null, error.message);
    }
  }

  #follow(address) {
    this.#stop();
    if (!/^https?:/.test(new URL(address, document.baseURI).protocol)) {
      this.#fail(null, 'watch');
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
        this.#fail(seen, seen.detail ?? seen.code ?? String(answer.status));
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
    const number = new Intl.NumberFormat(this.#locale);
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
      this.#fail(seen, seen.error?.message ?? seen.state);
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

  #fail(seen, why) {
    this.#stop();
    this.#address = undefined;
    const { progress, button } = this.#parts;
    progress.hidden = true;
    this.#say(this.#words.failed(why));
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
