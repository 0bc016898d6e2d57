// The colour scheme that was chosen, before anything is drawn; by default the system's.
(() => {
  let scheme = null;
  try {
    scheme = localStorage.getItem('mf-movielens-scheme');
  } catch {
    // storage may be forbidden
  }
  if (scheme) document.documentElement.dataset.scheme = scheme;
})();
