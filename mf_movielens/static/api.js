// The API of the server. An answer that is an error becomes an ApiError with a sentence.

const TOKEN = 'mf-movielens-token';
const RETRY_MS = 2000;

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

const sentence = (text) => {
  const trimmed = text.trim();
  const start = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(start) ? start : `${start}.`;
};

async function problem(response) {
  let detail = '';
  try {
    const body = await response.json();
    detail = typeof body.detail === 'string' ? body.detail : (body.title ?? '');
  } catch {
    // no JSON: the status has to do
  }
  const text = detail || `The server answers with status ${response.status}`;
  return new ApiError(response.status, sentence(text));
}

// Parameters without a value are left out; a list is repeated
function query(parameters) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value == null || value === '') continue;
    for (const one of [value].flat()) words.append(name, one);
  }
  return words.size ? `?${words}` : '';
}

export class Api {
  // onGone() is called when the server does not answer, onBack() when it does again,
  // onVersion(model, version) when a model was replaced, and askToken() promises a token
  constructor({ onGone, onBack, onVersion, askToken }) {
    Object.assign(this, { onGone, onBack, onVersion, askToken });
    this.token = sessionStorage.getItem(TOKEN);
    this.versions = new Map();
    this.isGone = false;
  }

  setToken(token) {
    this.token = token;
    sessionStorage.setItem(TOKEN, token);
    this.asking = null;
  }

  get(path, parameters = {}, signal = undefined) {
    return this.request(`api/${path}${query(parameters)}`, { signal });
  }

  post(path, parameters, body, signal = undefined) {
    const headers = { 'Content-Type': 'application/json' };
    const options = { method: 'POST', headers, body: JSON.stringify(body), signal };
    return this.request(`api/${path}${query(parameters)}`, options);
  }

  async request(address, options) {
    const { token } = this;
    const headers = { ...options.headers };
    if (token) headers.Authorization = `Bearer ${token}`;
    let response;
    try {
      response = await fetch(address, { ...options, headers });
    } catch (error) {
      if (error.name !== 'AbortError') this.gone();
      throw error;
    }
    if (response.status === 401) {
      if (token === this.token) await this.renewToken(token !== null);
      return this.request(address, options);
    }
    if (!response.ok) throw await problem(response);
    const answer = await response.json();
    this.note(answer);
    return answer;
  }

  // However many requests were refused, the token is asked for once
  renewToken(wasWrong) {
    this.asking ??= this.askToken(wasWrong).then((token) => this.setToken(token));
    return this.asking;
  }

  note({ model, version }) {
    if (!model || !version) return;
    const before = this.versions.get(model);
    this.versions.set(model, version);
    if (before && before !== version) this.onVersion(model, version);
  }

  gone() {
    if (this.isGone) return;
    this.isGone = true;
    this.onGone();
    this.retry();
  }

  retry() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), RETRY_MS);
  }

  // Ask whether the server is there again
  async look() {
    try {
      await fetch('health', { cache: 'no-store' });
    } catch {
      this.retry();
      return false;
    }
    clearTimeout(this.timer);
    if (this.isGone) {
      this.isGone = false;
      this.onBack();
    }
    return true;
  }
}
