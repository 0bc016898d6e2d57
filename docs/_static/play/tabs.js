// Tabs by the WAI-ARIA pattern: arrows move between them, and one is in the tab order.

import { make } from '../widgets/elements.js';

export class Tabs {
  // tabs: [{name, title, panel}]
  constructor({ label, tabs, onSelect }) {
    this.tabs = tabs;
    this.onSelect = onSelect;
    for (const tab of tabs) {
      tab.button = make('button', {
        type: 'button',
        id: `tab-${tab.name}`,
        textContent: tab.title,
        role: 'tab',
        'aria-controls': `panel-${tab.name}`,
      });
      tab.panel.id = `panel-${tab.name}`;
      tab.panel.setAttribute('role', 'tabpanel');
      tab.panel.setAttribute('aria-labelledby', tab.button.id);
      tab.button.addEventListener('click', () => this.onSelect(tab.name));
    }
    this.list = make(
      'div',
      { className: 'tabs', role: 'tablist', 'aria-label': label },
      ...tabs.map(({ button }) => button),
    );
    this.list.addEventListener('keydown', (event) => this.onKey(event));
    this.element = make('div', {}, this.list, ...tabs.map(({ panel }) => panel));
  }

  onKey(event) {
    const here = this.tabs.findIndex(({ button }) => button === document.activeElement);
    const n = this.tabs.length;
    const to = {
      ArrowRight: (here + 1) % n,
      ArrowLeft: (here + n - 1) % n,
      Home: 0,
      End: n - 1,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.tabs[to].button.focus();
    this.onSelect(this.tabs[to].name);
  }

  show(name) {
    for (const tab of this.tabs) {
      const isShown = tab.name === name;
      tab.panel.hidden = !isShown;
      tab.button.setAttribute('aria-selected', String(isShown));
      tab.button.tabIndex = isShown ? 0 : -1;
    }
  }
}
