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
 * state, dialog, title, form, submit, close, export. Languages: en, zh, by `lang`.
 */

import { localeOf, startAt, styled, wordsFor } from './sluice-export.js';

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
    running: 'The export goes on.',
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
    running: '导出仍在进行。',
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

/** Of each option that a page may offer: the formats that have it, and the values where the page lists none. */
const OPTIONS = {
  style: { formats: ['xlsx'], values: () => ['plain', 'banded', 'bordered', 'dark', 'minimal'] },
  csv_encoding: { formats: ['csv'], values: () => ['utf-8', 'gbk', 'windows-1252'] },
  timezone: { formats: ['xlsx', 'csv', 'jsonl', 'parquet'], values: zones },
};

const STYLE = `
:host { display: inline-flex; flex-wrap: wrap; gap: 0.5em; align-items: center; font: inherit; }
:host([hidden]), [hidden] { display: none !important; }
button, input, select { font: inherit; }
dialog { max-inline-size: min(32em, 90vw); }
h2 { margin-block: 0 0.75em; font-size: 1.2em; }
fieldset { border: 0; margin: 0 0 0.75em; padding: 0; min-inline-size: 0; }
legend { padding: 0; }
.columns { display: grid; max-block-size: 14em; overflow-y: auto; padding: 0.25em; border: 1px solid; }
sluice-export::part(button) { display: none; } /* the form's button stands in for it */
.field { display: grid; margin-block-end: 0.75em; }
footer { display: flex; flex-wrap: wrap; gap: 0.5em; justify-content: flex-end; margin-block-start: 1em; }
`;

/** The zone of the browser first, then UTC, then every zone that the browser knows. */
function zones() {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return [...new Set([own, 'UTC', ...Intl.supportedValuesOf('timeZone')])].filter((zone) => zone && zone !== 'Etc/Unknown');
}

/** Makes an element with these properties and children; text stays text. */
function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

class SluiceExportDialog extends HTMLElement {
  /** Returns, or promises, the watch address of a new export of what was chosen. */
  start = (chosen) => startAt(this.getAttribute('action') ?? '', chosen);

  #parts = {};
  #options = {};
  #columns = [];
  #running = false;

  constructor() {
    super();
    styled(this.attachShadow({ mode: 'open' }), STYLE);
  }

  connectedCallback() {
    if (this.shadowRoot.childElementCount === 0) {
      this.#build();
    }
  }

  /** Opens the dialog. */
  open() {
    this.#parts.state.textContent = '';
    this.#parts.dialog.showModal();
  }

  /** Closes the dialog; an export goes on. */
  close() {
    this.#parts.dialog.close();
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
      form: make('form', { id: 'form', noValidate: true }),
      export: make('sluice-export', { hidden: true, lang: localeOf(this) }),
      submit: make('button', { type: 'submit', textContent: words.submit }),
      close: make('button', { type: 'button', textContent: words.close }),
    });
    parts.submit.setAttribute('form', 'form');
    parts.fields = make('fieldset', {}, ...this.#fields());
    parts.form.append(parts.fields);
    parts.dialog = make('dialog', {}, parts.title, parts.form, parts.export, make('footer', {}, parts.submit, parts.close));
    parts.dialog.setAttribute('aria-labelledby', 'title');
    parts.state.setAttribute('role', 'status');
    parts.button.setAttribute('aria-haspopup', 'dialog');
    for (const [name, element] of Object.entries(parts)) {
      element.part = name;
    }
    this.shadowRoot.append(parts.button, parts.state, parts.dialog);
    this.#listen();
    this.#fit();
  }

  #listen() {
    const { button, close, dialog, form } = this.#parts;
    button.addEventListener('click', () => this.open());
    close.addEventListener('click', () => this.close());
    dialog.addEventListener('close', () => {
      if (this.#running) {
        this.#parts.state.textContent = this.#words.running;
      }
    });
    form.addEventListener('change', (event) => this.#changed(event.target));
    form.addEventListener('input', (event) => event.target.setCustomValidity?.(''));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!this.#running && this.#complete()) {
        this.#begin();
      }
    });
    this.#parts.export.start = (chosen) => this.start(chosen);
    this.#parts.export.addEventListener('sluice-ready', () => this.#ended(this.#words.ready));
    this.#parts.export.addEventListener('sluice-failed', () => this.#ended(this.#words.failed));
  }

  #fields() {
    const words = this.#words;
    const parts = this.#parts;
    const formats = listed(this.getAttribute('formats') || 'xlsx csv');
    parts.format = select(formats, words.formats);
    parts.filename = make('input', { id: 'filename', autocomplete: 'off', maxLength: 150, value: this.getAttribute('filename') ?? '' });
    const fields = [labelled(parts.format, 'format', words.format), ...this.#columnFields()];
    fields.push(labelled(parts.filename, 'filename', words.filename));
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

  #columnFields() {
    const words = this.#words;
    const given = [...this.querySelectorAll(':scope > data')].map((one) => [one.value, one.textContent.trim() || one.value]);
    const ticked = (properties, text) => make('label', {}, make('input', { type: 'checkbox', checked: true, ...properties }), ` ${text}`);
    const boxes = given.map(([value, text]) => ticked({ value }, text));
    this.#columns = boxes.map((box) => box.firstChild);
    if (boxes.length === 0) {
      return [];
    }
    const all = ticked({ id: 'all' }, words.all);
    this.#parts.all = all.firstChild;
    const list = make('div', { className: 'columns' }, ...boxes);
    return [make('fieldset', {}, make('legend', { textContent: words.columns }), all, list)];
  }

  #changed(changed) {
    const { all } = this.#parts;
    if (changed === all) {
      this.#columns.forEach((box) => (box.checked = all.checked));
    } else if (this.#columns.includes(changed)) {
      const ticked = this.#columns.filter((box) => box.checked).length;
      all.checked = ticked === this.#columns.length;
      all.indeterminate = ticked > 0 && !all.checked;
    }
    this.#columns[0]?.setCustomValidity('');
    this.#fit();
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
    this.#columns[0]?.setCustomValidity(this.#columns.some((box) => box.checked) ? '' : words.none);
    return form.reportValidity();
  }

  get #chosen() {
    const { format, filename } = this.#parts;
    const options = Object.keys(this.#options).filter((name) => this.#has(name));
    const columns = this.#columns.filter((box) => box.checked).map((box) => box.value);
    return {
      format: format.value,
      ...(this.#columns.length > 0 && { columns }),
      filename: filename.value.trim(),
      options: Object.fromEntries(options.map((name) => [name, this.#options[name].value])),
    };
  }

  #begin() {
    const { close, fields, submit, export: shown } = this.#parts;
    const chosen = this.#chosen;
    this.#running = true;
    close.focus(); // what has the focus is about to be disabled
    fields.disabled = true;
    submit.disabled = true;
    shown.hidden = false;
    shown.begin(chosen);
  }

  /** The next export may begin; who closed the dialog hears of this one beside the button. */
  #ended(sentence) {
    const { dialog, fields, state, submit } = this.#parts;
    this.#running = false;
    fields.disabled = false;
    submit.disabled = false;
    state.textContent = dialog.open ? '' : sentence;
  }
}

const listed = (text) => text.split(/\s+/).filter(Boolean);

const select = (values, names) => make('select', {}, ...values.map((value) => make('option', { value, textContent: names[value] ?? value })));

function labelled(control, id, text) {
  control.id = id;
  return make('div', { className: 'field' }, make('label', { htmlFor: id, textContent: text }), control);
}

customElements.define('sluice-export-dialog', SluiceExportDialog);
