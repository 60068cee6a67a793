// What went wrong, said once in the page's alert. In: an error. Out: words. Next: the user.

const box = document.getElementById("alert");

export function failed(error) {
  const detail = error.message || String(error);
  box.textContent = detail[0].toUpperCase() + detail.slice(1);
  if (error.status === undefined) console.error(error);
}

export function clear() {
  box.textContent = "";
}
