# Run the R blocks of chapters/from_r.ipynb and compare what R answers with the lines that begin with #>.
#
#     Rscript tests/reference/from_r.R
#
# Nothing is written. Lines whose answers are random (nsim) are not run.

notebook <- jsonlite::fromJSON("chapters/from_r.ipynb", simplifyVector = FALSE)
markdown <- Filter(function(cell) cell$cell_type == "markdown", notebook$cells)
lines <- unlist(lapply(markdown, function(cell) c(strsplit(paste(unlist(cell$source), collapse = ""), "\n")[[1]], "")))

options(width = 72)
answer <- function(code) {
  text <- capture.output(value <- suppressMessages(withVisible(eval(code, globalenv()))))
  if (value$visible) text <- c(text, capture.output(print(value$value)))
  trimws(paste("#>", text[nzchar(trimws(text))]), "right")
}

starts <- which(lines == "```r")
wrong <- 0
for (start in starts) {
  end <- start + which(lines[-seq_len(start)] == "```")[1]
  block <- lines[(start + 1):(end - 1)]
  block <- block[!grepl("nsim", block)]
  code <- block[!startsWith(block, "#>")]
  said <- unlist(lapply(parse(text = code), answer))
  said <- said[said != "#>"]
  stored <- block[startsWith(block, "#>")]
  if (!identical(as.character(said), as.character(stored))) {
    wrong <- wrong + 1
    cat("stored:", stored, "now:", said, "", sep = "\n")
  }
}
cat(length(starts), "blocks,", wrong, "with other answers\n")
