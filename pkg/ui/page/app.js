// The page shows one view at a time: the fragment names it and its parameters, and the
// server has an answer of the same name. When the server says that something changed, the
// page asks again.

import { element, address, replace } from './dom.js';
import { showOverview } from './overview.js';
import { showRange } from './range.js';
import { showHolder } from './holder.js';
import { showSearch } from './search.js';

const views = { ranges: showOverview, range: showRange, holder: showHolder, search: showSearch };
const main = document.getElementById('main');
const query = document.getElementById('query');
const status = document.getElementById('status');

// shownAddress and shownText are what the page shows. asked counts requests, so that a late
// answer is not shown. The chosen cell does not change what the server answers.
let shownAddress = '';
let shownText = '';
let asked = 0;
// followed is set when the user followed a link, until its view is shown: it is shown anew
// even if the answer is the same.
let followed = false;

function route() {
  const [view, parameters] = location.hash.replace(/^#\/?/, '').split('?');
  return { view: views[view] ? view : 'ranges', parameters: new URLSearchParams(parameters) };
}

// refresh asks again, and shows the answer if it is another one.
async function refresh() {
  const mine = ++asked;
  const { view, parameters } = route();
  const asking = new URLSearchParams(parameters);
  asking.delete('cell');
  const wanted = `${view}?${asking}`;
  let response;
  let text;
  try {
    response = await fetch(`api/${wanted}`);
    text = await response.text();
  } catch {
    return; // The stream of events says so.
  }
  const isNew = followed || wanted !== shownAddress;
  if (mine !== asked || (!isNew && text === shownText)) return;
  shownAddress = wanted;
  shownText = text;
  followed = false;
  show(view, parameters, response, text, isNew);
  main.removeAttribute('aria-busy');
}

function show(view, parameters, response, text, isNew) {
  if (response.ok) {
    views[view](main, JSON.parse(text), parameters, isNew);
  } else {
    showError(response, text);
  }
  const title = main.querySelector('h1')?.textContent ?? 'Ranges';
  document.title = `${title} · Portolan`;
  if (!isNew || document.activeElement === query) return;
  if (main.contains(document.activeElement)) return;
  main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function showError(response, text) {
  let message = text;
  try {
    message = JSON.parse(text).error;
  } catch {
    // It is plain text.
  }
  replace(main, element('h1', {}, response.status === 404 ? 'There is nothing here' : 'This can’t be shown'),
    element('p', {}, message), element('p', {}, element('a', { href: address('ranges') }, 'All ranges')));
}

function setStatus(state, text) {
  if (status.dataset.state === state && status.textContent === text) return;
  status.dataset.state = state;
  status.textContent = text;
}

function follow() {
  const events = new EventSource('api/events');
  events.onmessage = (event) => {
    const news = JSON.parse(event.data);
    document.getElementById('target').textContent = news.target;
    showProblems(news.problems);
    setStatus(news.problems.length ? 'stale' : 'live', news.problems.length ? 'Not up to date' : 'Live');
    refresh();
  };
  events.onerror = () => {
    const ended = events.readyState === EventSource.CLOSED;
    setStatus('lost', ended ? 'Ended: start portolan ui again' : 'No answer from portolan ui');
  };
}

let problemsShown = '[]';

function showProblems(problems) {
  const text = JSON.stringify(problems);
  if (text === problemsShown) return;
  problemsShown = text;
  replace(document.getElementById('problems'), ...problems.map((problem) => {
    const since = problem.since ? ` What is shown is from ${new Date(problem.since).toLocaleTimeString()}.` : ' None are shown.';
    return element('p', {}, element('strong', {}, `${problem.kind}: `), `${problem.message}.${since}`);
  }));
}

let pause;

function search() {
  clearTimeout(pause);
  const wanted = address('search', { q: query.value.trim() });
  if (location.hash === wanted) return;
  if (route().view === 'search') {
    history.replaceState(null, '', wanted);
    refresh();
  } else if (query.value.trim()) {
    location.hash = wanted;
  }
}

query.addEventListener('input', () => {
  clearTimeout(pause);
  pause = setTimeout(search, 150);
});

document.getElementById('search').addEventListener('submit', (event) => {
  event.preventDefault();
  search();
});

document.addEventListener('keydown', (event) => {
  const typing = event.target.matches?.('input, select, textarea');
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    query.focus();
    query.select();
  }
});

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});

window.addEventListener('hashchange', () => {
  const { view, parameters } = route();
  if (view === 'search' && document.activeElement !== query) query.value = parameters.get('q') ?? '';
  followed = true;
  main.setAttribute('aria-busy', 'true');
  refresh();
});

query.value = route().parameters.get('q') ?? '';
follow();
refresh();
