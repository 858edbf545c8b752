/** What of a dataset's rows a user may choose: those that are selected on the page, days, and values of its filters. */

import { wordsFor } from './sluice-export.js';
import { group, labelled, make, ticked } from './sluice-form.js';

const WORDS = {
  en: {
    masked: (label) => `${label} (masked)`,
    masks: 'Of masked columns the file shows a part of each value.',
    scope: 'Rows',
    all: 'All rows',
    selected: (rows) => `Selected rows (${rows})`,
    many: (most) => `At most ${most} rows can be selected.`,
    date: 'Days',
    from: 'From',
    to: 'To (included)',
    backwards: 'This day is before the first one.',
    any: 'None ticked: all of them.',
    lines: 'One value in each line; none: all of them.',
  },
  zh: {
    masked: (label) => `${label}（已脱敏）`,
    masks: '已脱敏的列只显示每个值的一部分。',
    scope: '数据行',
    all: '全部行',
    selected: (rows) => `所选行（${rows}）`,
    many: (most) => `最多可选择 ${most} 行。`,
    date: '日期',
    from: '从',
    to: '至（含当日）',
    backwards: '结束日期早于开始日期。',
    any: '不勾选即为全部。',
    lines: '每行一个值；不填即为全部。',
  },
};

export class DatasetFields {
  /** To be shown, in this order. */
  elements = [];

  #words;
  #offered;
  #scope;
  #ids = [];
  #days = [];
  #filters = [];

  /** `host` is the dialog's element; `offered` what the service says that this user may ask. */
  constructor(host, offered) {
    this.#words = WORDS[wordsFor(host)];
    this.#offered = offered;
    if (offered.selectable) {
      this.#scope = this.#scopeFields();
      this.elements.push(this.#scope.group);
    }
    if (offered.date) {
      this.elements.push(this.#dayFields(host.getAttribute('date-label')));
    }
    for (const name of offered.filters) {
      const given = [...host.querySelectorAll(':scope > select')].find((one) => one.name === name);
      this.elements.push(this.#filterField(name, given));
    }
  }

  /** The columns as pairs of name and text, and what is to be said below them. */
  get columns() {
    const { columns } = this.#offered;
    const { masked, masks } = this.#words;
    return {
      columns: columns.map(({ name, label, masked: isMasked }) => [name, isMasked ? masked(label) : label]),
      hint: columns.some((column) => column.masked) ? masks : '',
    };
  }

  /** The ids of the rows that are selected on the page now. */
  offerIds(ids) {
    this.#ids = [...ids];
    if (this.#scope) {
      this.#scope.group.hidden = this.#ids.length === 0;
      this.#scope.text.data = ` ${this.#words.selected(this.#ids.length)}`;
      this.#scope.selected.setCustomValidity('');
    }
  }

  /** Has the browser say what is wrong, when the form is checked next. */
  check() {
    const most = this.#offered.ids_max;
    this.#scope?.selected.setCustomValidity(this.#isSelected && this.#ids.length > most ? this.#words.many(most) : '');
    const [from, to] = this.#days;
    to?.setCustomValidity(from.value && to.value && to.value < from.value ? this.#words.backwards : '');
  }

  /** As the service takes it. */
  get chosen() {
    const days = this.#days.filter((day) => day.value).map((day) => [day.name, day.value]);
    const filters = this.#filters.map(({ name, values }) => [name, values()]).filter(([, values]) => values.length > 0);
    return {
      ...(this.#isSelected && { scope: 'selected', ids: this.#ids }),
      ...(days.length > 0 && { date: Object.fromEntries(days) }),
      ...(filters.length > 0 && { filters: Object.fromEntries(filters) }),
    };
  }

  get #isSelected() {
    return this.#scope !== undefined && this.#ids.length > 0 && this.#scope.selected.checked;
  }

  #scopeFields() {
    const [selected, all] = ['selected', 'all'].map((value) => ticked({ type: 'radio', name: 'scope', value }, this.#words.all));
    selected.firstChild.checked = true; // who ticked rows on the page means them
    return { group: group(this.#words.scope, selected, all), selected: selected.firstChild, text: selected.lastChild };
  }

  #dayFields(title) {
    this.#days = ['from', 'to'].map((name) => make('input', { type: 'date', name }));
    const fields = this.#days.map((day) => labelled(day, `date-${day.name}`, this.#words[day.name]));
    return group(title || this.#words.date, make('div', { className: 'days' }, ...fields));
  }

  /** Boxes where the page says which values there are; else a place to write some. */
  #filterField(name, given) {
    const title = given?.title || this.#offered.columns.find((column) => column.name === name)?.label || name;
    const hint = make('small', { id: `hint-${name}`, textContent: given ? this.#words.any : this.#words.lines });
    if (given) {
      const boxes = [...given.options].map((one) => ticked({ value: one.value, checked: one.defaultSelected }, one.text));
      this.#filters.push({ name, values: () => boxes.map((box) => box.firstChild).filter((box) => box.checked).map((box) => box.value) });
      const field = group(title, make('div', { className: 'choices' }, ...boxes), hint);
      field.setAttribute('aria-describedby', hint.id);
      return field;
    }
    const text = make('textarea', { rows: 1 });
    text.setAttribute('aria-describedby', hint.id);
    this.#filters.push({ name, values: () => text.value.split('\n').map((line) => line.trim()).filter(Boolean) });
    const field = labelled(text, `filter-${name}`, title);
    field.append(hint);
    return field;
  }
}
