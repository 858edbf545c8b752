/**
 * <sluice-export-dialog>: a button and a dialog in which a user says what to export, before <sluice-export> shows it.
 *
 *   <sluice-export-dialog action="/orders/export" formats="xlsx csv" filename="orders" options="style timezone">
 *     <data value="id">Number</data><data value="customer">Customer</data>
 *   </sluice-export-dialog>
 *
 * `action` gets a POST of {"format", "columns", "filename", "options"} as JSON, of which columns are those of the page
 * that are ticked, in the page's order, and options only what the page lists and the format has. It answers as for
 * <sluice-export>: {"watch_url": …}. All of it is a stranger's word: the application checks it. `element.start` is a
 * function that gets the same and returns the watch address. Events: `sluice-ready`, `sluice-failed`. Parts: button,
 * state, dialog, title, note, form, submit, close, last, export. Languages: en, zh, by `lang`.
 *
 *   <sluice-export-dialog dataset="https://sluice.example.com/v1/datasets/orders"></sluice-export-dialog>
 *
 * asks the service itself, with the token that `element.getToken` promises (or `element.token`): what this user may
 * have of the dataset, an export of it, and on the next visit what has become of the last one. `element.selected` are
 * the ids of the rows that are selected on the page; `<select name="state" title="State">` with options says which
 * values of a filter there are to choose.
 */

import { DatasetCalls } from './sluice-dataset.js';
import { DatasetFields } from './sluice-dataset-fields.js';
import { isEnded, localeOf, reasonOf, startAt, styled, wordsFor } from './sluice-export.js';
import { ColumnBoxes, labelled, make, OPTIONS, select } from './sluice-form.js';

const WORDS = {
  en: {
    open: 'Export…',
    format: 'Format',
    columns: 'Columns',
    all: 'All columns',
    none: 'Choose at least one column.',
    filename: 'File name',
    unnamed: 'Give the file a name.',
    submit: 'Export',
    close: 'Close',
    loading: 'Asking what may be exported…',
    again: 'Try again',
    unknown: (why) => `This cannot be exported now: ${why}`,
    last: 'Your last export:',
    until: (time) => `The file is kept until ${time}.`,
    running: 'The export goes on.',
    saved: 'The file was downloaded.',
    ready: 'The file is ready: open the dialog to download it.',
    failed: 'There will be no file: open the dialog to see why.',
    formats: { xlsx: 'Excel (.xlsx)', csv: 'CSV (.csv)', jsonl: 'JSON Lines (.jsonl)', parquet: 'Parquet (.parquet)' },
    options: { style: 'Style', timezone: 'Time zone', csv_encoding: 'Encoding' },
    values: {
      plain: 'Plain',
      banded: 'Banded rows',
      bordered: 'Bordered cells',
      dark: 'Dark header',
      minimal: 'Minimal',
      'utf-8': 'UTF-8 (Excel and others)',
      gbk: 'GBK (older programs in China)',
      'windows-1252': 'Windows-1252 (older programs in the West)',
    },
  },
  zh: {
    open: '导出…',
    format: '格式',
    columns: '列',
    all: '全部列',
    none: '请至少选择一列。',
    filename: '文件名',
    unnamed: '请填写文件名。',
    submit: '导出',
    close: '关闭',
    loading: '正在查询可导出的内容…',
    again: '重试',
    unknown: (why) => `暂时无法导出：${why}`,
    last: '您最近一次导出：',
    until: (time) => `文件保留至 ${time}。`,
    running: '导出仍在进行。',
    saved: '文件已下载。',
    ready: '文件已生成，请打开对话框下载。',
    failed: '导出失败，请打开对话框查看原因。',
    formats: { xlsx: 'Excel（.xlsx）', csv: 'CSV（.csv）', jsonl: 'JSON Lines（.jsonl）', parquet: 'Parquet（.parquet）' },
    options: { style: '样式', timezone: '时区', csv_encoding: '编码' },
    values: {
      plain: '普通',
      banded: '隔行底色',
      bordered: '边框',
      dark: '深色表头',
      minimal: '简洁',
      'utf-8': 'UTF-8（适用于 Excel 等）',
      gbk: 'GBK（旧版中文软件）',
      'windows-1252': 'Windows-1252（旧版西文软件）',
    },
  },
};

const STYLE = `
:host { display: inline-flex; flex-wrap: wrap; gap: 0.5em; align-items: center; font: inherit; }
:host([hidden]), [hidden] { display: none !important; }
button, input, select { font: inherit; }
dialog { max-inline-size: min(32em, 90vw); }
h2 { margin-block: 0 0.75em; font-size: 1.2em; }
fieldset { border: 0; margin: 0 0 0.75em; padding: 0; min-inline-size: 0; }
legend { padding: 0; }
.columns, .choices { display: grid; max-block-size: 14em; overflow-y: auto; padding: 0.25em; border: 1px solid; }
sluice-export::part(button) { display: none; } /* the form's button stands in for it */
.days { display: flex; flex-wrap: wrap; gap: 0 1em; }
small { display: block; }
.field { display: grid; margin-block-end: 0.75em; }
footer { display: flex; flex-wrap: wrap; gap: 0.5em; justify-content: flex-end; margin-block-start: 1em; }
`;

class SluiceExportDialog extends HTMLElement {
  #parts = {};
  #options = {};
  #columns;
  #dataset;
  /** What `#dataset` was made of, as text: it is made anew where the user may ask something else. */
  #offered;
  #calls;
  #running = false;
  #isQuiet = false;

  constructor() {
    super();
    styled(this.attachShadow({ mode: 'open' }), STYLE);
  }

  connectedCallback() {
    if (this.shadowRoot.childElementCount === 0) {
      this.#build();
    }
  }

  /** Returns, or promises, the watch address of a new export of what was chosen, or its file. */
  start(chosen, say) {
    return this.#isOfDataset ? this.#order(chosen, say) : startAt(this.getAttribute('action') ?? '', chosen);
  }

  /** Returns, or promises, the token of the page's user; gets `{refused}` when the service did not take that one. */
  getToken() {
    return this.token;
  }

  /** Opens the dialog. */
  open() {
    this.#parts.state.textContent = '';
    this.#parts.dialog.showModal();
    if (this.#isOfDataset) {
      this.#load();
    }
  }

  /** Closes the dialog; an export goes on. */
  close() {
    this.#parts.dialog.close();
  }

  get #isOfDataset() {
    return this.hasAttribute('dataset');
  }

  get #formats() {
    return listed(this.getAttribute('formats') || 'xlsx csv');
  }

  get #words() {
    return WORDS[wordsFor(this)];
  }

  #build() {
    const words = this.#words;
    const label = this.getAttribute('label') || words.open;
    const parts = (this.#parts = {
      button: make('button', { type: 'button', textContent: label }),
      state: make('span'),
      title: make('h2', { id: 'title', textContent: label.replace(/…$/, '') }),
      note: make('p', { hidden: true }),
      form: make('form', { id: 'form', noValidate: true }),
      last: make('p', { hidden: true, textContent: words.last }),
      export: make('sluice-export', { hidden: true, lang: localeOf(this) }),
      again: make('button', { type: 'button', textContent: words.again, hidden: true }),
      submit: make('button', { type: 'submit', textContent: words.submit }),
      close: make('button', { type: 'button', textContent: words.close }),
    });
    parts.submit.setAttribute('form', 'form');
    parts.fields = make('fieldset');
    parts.form.append(parts.fields);
    const footer = make('footer', {}, parts.again, parts.submit, parts.close);
    parts.dialog = make('dialog', {}, parts.title, parts.note, parts.form, parts.last, parts.export, footer);
    parts.dialog.setAttribute('aria-labelledby', 'title');
    parts.state.setAttribute('role', 'status');
    parts.note.setAttribute('aria-live', 'polite');
    parts.button.setAttribute('aria-haspopup', 'dialog');
    for (const [name, element] of Object.entries(parts)) {
      element.part = name;
    }
    this.shadowRoot.append(parts.button, parts.state, parts.dialog);
    this.#listen();
    if (this.#isOfDataset) {
      parts.submit.hidden = true;
    } else {
      this.#fill({
        formats: this.#formats,
        columns: [...this.querySelectorAll(':scope > data')].map((one) => [one.value, one.textContent.trim() || one.value]),
      });
    }
  }

  #listen() {
    const { again, button, close, dialog, form, submit } = this.#parts;
    again.addEventListener('click', () => this.#load());
    // Of a double click the second would be another export where the first has its file already.
    submit.addEventListener('click', (event) => event.detail > 1 && event.preventDefault());
    dialog.addEventListener('keydown', (event) => {
      if (event.repeat && event.key === 'Enter' && event.target.localName !== 'textarea') {
        event.preventDefault(); // nor is a key that is kept down another wish
      }
    });
    button.addEventListener('click', () => this.open());
    close.addEventListener('click', () => this.close());
    dialog.addEventListener('close', () => {
      if (this.#running) {
        this.#parts.state.textContent = this.#words.running;
      }
    });
    form.addEventListener('change', (event) => {
      this.#columns.changed(event.target);
      this.#fit();
    });
    form.addEventListener('input', (event) => event.target.setCustomValidity?.(''));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!this.#parts.fields.disabled && this.#complete()) {
        this.#begin();
      }
    });
    this.#parts.export.start = (chosen, say) => this.start(chosen, say);
    this.#parts.export.addEventListener('sluice-ready', (event) => this.#ended(event, this.#words.ready));
    this.#parts.export.addEventListener('sluice-failed', (event) => this.#ended(event, this.#words.failed));
  }

  /** Asks the service what this user may have now, and whether an export of theirs is under way or has its file. */
  async #load() {
    const { again, close, dialog, submit } = this.#parts;
    again.hidden = true;
    if (this.#dataset === undefined) {
      this.#note(this.#words.loading);
    }
    try {
      this.#calls ??= new DatasetCalls(this.getAttribute('dataset'), (how) => this.getToken(how));
      const [offered, had] = await Promise.all([this.#calls.describe(), this.#calls.exports().catch(() => [])]);
      this.#offer(offered);
      this.#dataset.offerIds((typeof this.selected === 'function' ? this.selected() : this.selected) ?? []);
      submit.hidden = false;
      this.#note('');
      this.#find(had[0]);
      if ([close, again, dialog, null].includes(this.shadowRoot.activeElement)) {
        this.#parts.format.focus();
      }
    } catch (error) {
      if (error.status === 0) {
        console.error(`<sluice-export-dialog>: no answer that ${location.origin} may read; is it in datasets.allowed_origins?`);
      }
      this.#note(this.#words.unknown(reasonOf(this, error)));
      again.hidden = false;
      again.focus();
    }
  }

  #note(sentence) {
    this.#parts.note.textContent = sentence;
    this.#parts.note.hidden = !sentence;
  }

  /** Shows the choices. Those that were made stay, unless the user may ask something else by now. */
  #offer(offered) {
    const text = JSON.stringify(offered);
    if (text === this.#offered) {
      return;
    }
    this.#offered = text;
    this.#dataset = new DatasetFields(this, offered);
    const formats = this.#formats.filter((format) => offered.formats.includes(format));
    this.#fill({ formats: formats.length > 0 ? formats : offered.formats, ...this.#dataset.columns, filename: offered.name });
  }

  /** Shows the export that the user has come back to. */
  #find(last) {
    const isOver = last && Date.parse(last.expires_at) <= Date.now();
    const isThere = last?.state === 'completed' && !isOver && this.#parts.export.hidden;
    const isUnderWay = last && !isEnded(last.state);
    if (this.#running || this.#parts.fields.disabled || !(isThere || isUnderWay)) {
      return;
    }
    this.#running = isUnderWay;
    this.#isQuiet = isThere;
    this.#parts.last.hidden = false;
    this.#parts.export.hidden = false;
    this.#parts.export.follow(last.watch_url);
  }

  async #order(chosen, say) {
    say('preparing');
    try {
      return await this.#calls.export(chosen, say);
    } finally {
      this.#allow(true); // one that goes on keeps no other from being asked for
    }
  }

  #fill(offer) {
    this.#options = {};
    this.#parts.fields.replaceChildren(...this.#fields(offer));
    this.#fit();
  }

  #fields(offer) {
    const words = this.#words;
    const parts = this.#parts;
    const filename = this.getAttribute('filename') ?? offer.filename ?? '';
    parts.format = select(offer.formats, words.formats);
    parts.filename = make('input', { id: 'filename', autocomplete: 'off', maxLength: 150, value: filename });
    this.#columns = new ColumnBoxes(offer.columns, words, offer.hint);
    const fields = [labelled(parts.format, 'format', words.format), ...this.#columns.elements];
    fields.push(...(this.#dataset?.elements ?? []), labelled(parts.filename, 'filename', words.filename));
    for (const one of listed(this.getAttribute('options') ?? '')) {
      const [name, values] = one.split(':');
      if (!Object.hasOwn(OPTIONS, name)) {
        console.error(`<sluice-export-dialog>: there is no option ${name} to choose; there are ${Object.keys(OPTIONS)}`);
        continue;
      }
      const choices = values ? values.split(',') : OPTIONS[name].values();
      this.#options[name] = select(choices, words.values);
      fields.push(labelled(this.#options[name], name, words.options[name]));
    }
    return fields;
  }

  /** Shows the options that files of the chosen format have. */
  #fit() {
    for (const [name, field] of Object.entries(this.#options)) {
      field.parentElement.hidden = !this.#has(name);
    }
  }

  #has(name) {
    return OPTIONS[name].formats.includes(this.#parts.format.value);
  }

  /** Whether an export can start; says what is missing where it is. */
  #complete() {
    const { filename, form } = this.#parts;
    const words = this.#words;
    filename.setCustomValidity(filename.value.trim() ? '' : words.unnamed);
    this.#columns.check();
    this.#dataset?.check();
    return form.reportValidity();
  }

  get #chosen() {
    const { format, filename } = this.#parts;
    const options = Object.keys(this.#options).filter((name) => this.#has(name));
    const columns = this.#columns.chosen;
    return {
      format: format.value,
      ...(columns && { columns }),
      ...this.#dataset?.chosen,
      filename: filename.value.trim(),
      options: Object.fromEntries(options.map((name) => [name, this.#options[name].value])),
    };
  }

  #begin() {
    const { close, last, export: shown } = this.#parts;
    const chosen = this.#chosen;
    this.#running = true;
    this.#isQuiet = false;
    close.focus(); // what has the focus is about to be disabled
    this.#allow(false);
    this.#note('');
    last.hidden = true;
    shown.hidden = false;
    shown.begin(chosen);
  }

  #allow(isAllowed) {
    this.#parts.fields.disabled = !isAllowed;
    this.#parts.submit.disabled = !isAllowed;
  }

  /** The next export may begin; who closed the dialog hears of this one beside the button. */
  #ended(event, sentence) {
    const { dialog, state } = this.#parts;
    const { detail } = event;
    this.#running = false;
    this.#allow(true);
    if (detail !== null) {
      this.#calls?.forget(); // it has ended, so that the next one is another
    }
    if (this.#isQuiet) {
      event.stopPropagation(); // it had ended before the page was there
    }
    this.#isQuiet = false;
    if (this.#isOfDataset && event.type === 'sluice-ready' && detail.expires_at) {
      const at = new Date(detail.expires_at).toLocaleString(localeOf(this), { dateStyle: 'medium', timeStyle: 'short' });
      this.#note(this.#words.until(at));
    }
    state.textContent = dialog.open ? '' : detail?.was_saved ? this.#words.saved : sentence;
  }
}

const listed = (text) => text.split(/\s+/).filter(Boolean);

customElements.define('sluice-export-dialog', SluiceExportDialog);
