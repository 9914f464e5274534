// Reload the page when the runs have written something; the browser keeps the position.
(() => {
  let shown = null;
  const look = async () => {
    try {
      const answer = await fetch("version", { cache: "no-store" });
      const version = await answer.text();
      if (answer.ok && shown !== null && version !== shown) location.reload();
      if (answer.ok) shown = version;
    } catch {
      // The server has ended; the page stays.
    }
  };
  look();
  setInterval(look, 5000);
})();
