// What surrounds the page: colours, the link to share, notices, and the token.

import { field, make } from './widgets/elements.js';

export const byId = (id) => document.getElementById(id);

// Say something to those who listen
export function announce(text) {
  byId('status').textContent = text;
}

export function showNotice(text, button = null) {
  byId('notice').replaceChildren(
    ...[make('p', { textContent: text }), button].filter(Boolean),
  );
  byId('notice').hidden = false;
}

export function askToken(wasWrong) {
  return new Promise((resolve) => {
    const input = make('input', {
      type: 'password',
      autocomplete: 'off',
      required: true,
    });
    const hint = wasWrong
      ? 'That token is not the right one.'
      : 'It was given with --token when the server was started.';
    const form = make(
      'form',
      { method: 'dialog' },
      make('h2', { id: 'token-title', textContent: 'This server asks for a token' }),
      make('p', { className: 'note', textContent: hint }),
      field('Token', input),
      make('button', { textContent: 'Continue' }),
    );
    const dialog = make(
      'dialog',
      { className: 'token', 'aria-labelledby': 'token-title' },
      form,
    );
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    // keys may close it all the same
    dialog.addEventListener('close', () => dialog.isConnected && dialog.showModal());
    // the dialog is closed here, so that no page has to be allowed to send forms
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      dialog.remove();
      resolve(input.value.trim());
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

// A token in the address is kept for this tab, and taken out of the address
export function takeToken(api) {
  const words = new URLSearchParams(location.hash.replace(/^#/, ''));
  if (!words.has('token')) return;
  api.setToken(words.get('token'));
  words.delete('token');
  const rest = words.toString() ? `#${words}` : '';
  history.replaceState(null, '', location.pathname + location.search + rest);
}

export function setUpScheme() {
  const button = byId('scheme');
  const system = matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  const isDark = () =>
    (root.dataset.scheme ?? (system.matches ? 'dark' : 'light')) === 'dark';
  const draw = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
    button.title = isDark() ? 'Light colours' : 'Dark colours';
  };
  button.addEventListener('click', () => {
    const scheme = isDark() ? 'light' : 'dark';
    root.dataset.scheme = scheme;
    try {
      localStorage.setItem('mf-movielens-scheme', scheme);
    } catch {
      // it holds until the page is left
    }
    draw();
  });
  system.addEventListener('change', draw);
  draw();
}

export function setUpShare() {
  const button = byId('share');
  const words = button.textContent;
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      announce('The link is copied. It holds your ratings.');
      button.textContent = 'Copied';
    } catch {
      announce('Copy the address of this page: it holds your ratings.');
      button.textContent = 'See the address';
    }
    setTimeout(() => {
      button.textContent = words;
    }, 3000);
  });
}
