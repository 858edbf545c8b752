/** What forms are made of: elements whose text stays text, columns to tick, the options that a page may offer. */

/** Makes an element with these properties and children; text stays text. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

export const select = (values, names) => make('select', {}, ...values.map((value) => make('option', { value, textContent: names[value] ?? value })));

export function labelled(control, id, text) {
  control.id = id;
  return make('div', { className: 'field' }, make('label', { htmlFor: id, textContent: text }), control);
}

/** A box or a radio button with its text. */
export const ticked = (properties, text) => make('label', {}, make('input', { type: 'checkbox', ...properties }), ` ${text}`);

export const group = (title, ...children) => make('fieldset', {}, make('legend', { textContent: title }), ...children);

/** Of each option that a page may offer: the formats that have it, and the values where the page lists none. */
export const OPTIONS = {
  style: { formats: ['xlsx'], values: () => ['plain', 'banded', 'bordered', 'dark', 'minimal'] },
  csv_encoding: { formats: ['csv'], values: () => ['utf-8', 'gbk', 'windows-1252'] },
  timezone: { formats: ['xlsx', 'csv', 'jsonl', 'parquet'], values: zones },
};

/** The zone of the browser first, then UTC, then every zone that the browser knows. */
function zones() {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return [...new Set([own, 'UTC', ...Intl.supportedValuesOf('timeZone')])].filter((zone) => zone && zone !== 'Etc/Unknown');
}

/** A box for each column, in the order given, and one for all of them. */
export class ColumnBoxes {
  elements = [];
  #boxes = [];
  #all;
  #words;

  /** `columns` are pairs of name and text; `words` has `columns`, `all`, `none`; `hint` stands below them. */
  constructor(columns, words, hint = '') {
    this.#words = words;
    if (columns.length === 0) {
      return;
    }
    const labels = columns.map(([value, text]) => ticked({ value, checked: true }, text));
    const all = ticked({ id: 'all', checked: true }, words.all);
    this.#boxes = labels.map((label) => label.firstChild);
    this.#all = all.firstChild;
    this.elements = [group(words.columns, all, make('div', { className: 'columns' }, ...labels))];
    this.elements[0].append(make('small', { textContent: hint, hidden: !hint }));
  }

  /** The names of those that are ticked; undefined where there is nothing to choose. */
  get chosen() {
    return this.#all && this.#boxes.filter((box) => box.checked).map((box) => box.value);
  }

  /** Has the browser say that none is ticked, when the form is checked next. */
  check() {
    this.#boxes[0]?.setCustomValidity(this.chosen.length > 0 ? '' : this.#words.none);
  }

  /** Keeps the box for all of them right after a change of some field. */
  changed(field) {
    if (field === this.#all) {
      this.#boxes.forEach((box) => (box.checked = field.checked));
    } else if (this.#boxes.includes(field)) {
      const count = this.chosen.length;
      this.#all.checked = count === this.#boxes.length;
      this.#all.indeterminate = count > 0 && !this.#all.checked;
    }
    this.#boxes[0]?.setCustomValidity('');
  }
}
