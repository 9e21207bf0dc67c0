//! The destination, the link, numbers and charts of the page.

texts! {
    SENDS_TO: "
        Client code {0}, sent to {1}.
        Client-Code {0}, gesendet an {1}.
        Code client {0}, envoyé à {1}.
        Código de cliente {0}, enviado a {1}.
        Klientkod {0}, skickas till {1}.";
    HANDS_OVER_TO: "
        Handed over to Outpost Hub at {0}.
        Übergeben an Outpost Hub unter {0}.
        Remis à Outpost Hub à l’adresse {0}.
        Se entrega a Outpost Hub en {0}.
        Lämnas över till Outpost Hub på {0}.";
    LINK_ONLINE: "
        Connected to Adobe Target since {0}.
        Mit Adobe Target verbunden seit {0}.
        Connecté à Adobe Target depuis {0}.
        Conectado a Adobe Target desde {0}.
        Ansluten till Adobe Target sedan {0}.";
    LINK_OFFLINE: "
        Not connected since {0}.
        Nicht verbunden seit {0}.
        Non connecté depuis {0}.
        Sin conexión desde {0}.
        Inte ansluten sedan {0}.";
    LINK_BLOCKED: "
        Something has been blocking the way to Adobe Target since {0}.
        Seit {0} ist der Weg zu Adobe Target versperrt.
        Quelque chose barre la route vers Adobe Target depuis {0}.
        Algo impide llegar a Adobe Target desde {0}.
        Något står i vägen till Adobe Target sedan {0}.";
    LINK_PAUSED: "
        Waiting for a new token since {0}.
        Wartet seit {0} auf ein neues Token.
        En attente d’un nouveau jeton depuis {0}.
        A la espera de un token nuevo desde {0}.
        Väntar på en ny token sedan {0}.";
    LINK_UNKNOWN: "
        Nothing has been sent to Adobe Target since {0}.
        Seit {0} wurde nichts an Adobe Target gesendet.
        Rien n’a été envoyé à Adobe Target depuis {0}.
        No se ha enviado nada a Adobe Target desde {0}.
        Inget har skickats till Adobe Target sedan {0}.";
    NEXT_TRY_AT: "
        The next try is at {0}.
        Der nächste Versuch ist um {0}.
        La prochaine tentative est à {0}.
        El próximo intento es a las {0}.
        Nästa försök görs {0}.";
    QUOTA_OPENS_AT: "
        The quota frees up at {0}.
        Das Kontingent hat wieder Platz ab {0}.
        Le quota a de nouveau de la place à {0}.
        La cuota vuelve a tener margen a las {0}.
        Kvoten har utrymme igen {0}.";
    WAITING: "
        Waiting
        Wartend
        En attente
        En espera
        Väntar";
    PROFILES: "
        {0} profile|{0} profiles
        {0} Profil|{0} Profile
        {0} profil|{0} profils
        {0} perfil|{0} perfiles
        {0} profil|{0} profiler";
    HANDED_OVER: "
        This device hands its values over to the hub of its fleet.
        Dieses Gerät übergibt seine Werte dem Hub seiner Flotte.
        Cet appareil remet ses valeurs au hub de sa flotte.
        Este dispositivo entrega sus valores al hub de su flota.
        Enheten lämnar över sina värden till flottans hub.";
    TARGET_HAS_ALL: "
        Target has everything.
        Target hat alles.
        Target a tout.
        Target lo tiene todo.
        Target har allt.";
    VALUES_WAIT: "
        {0} value; the oldest has been waiting for {1}.|{0} values; the oldest has been waiting for {1}.
        {0} Wert; der älteste wartet seit {1}.|{0} Werte; der älteste wartet seit {1}.
        {0} valeur ; la plus ancienne attend depuis {1}.|{0} valeurs ; la plus ancienne attend depuis {1}.
        {0} valor; el más antiguo espera desde hace {1}.|{0} valores; el más antiguo espera desde hace {1}.
        {0} värde; det äldsta har väntat i {1}.|{0} värden; det äldsta har väntat i {1}.";
    DELIVERED: "
        Delivered
        Geliefert
        Livré
        Entregado
        Levererat";
    NEVER_DELIVERED: "
        Nothing has been delivered yet.
        Es wurde noch nichts geliefert.
        Rien n’a encore été livré.
        Todavía no se ha entregado nada.
        Inget har levererats än.";
    LAST_DELIVERY: "
        Updates since installation; the last on {0}.
        Aktualisierungen seit der Installation; die letzte am {0}.
        Mises à jour depuis l’installation ; la dernière le {0}.
        Actualizaciones desde la instalación; la última el {0}.
        Uppdateringar sedan installationen; den senaste {0}.";
    RECORDED: "
        Recorded
        Aufgezeichnet
        Enregistré
        Registrado
        Registrerat";
    EVENTS: "
        {0} event|{0} events
        {0} Ereignis|{0} Ereignisse
        {0} événement|{0} événements
        {0} evento|{0} eventos
        {0} händelse|{0} händelser";
    DUPLICATES: "
        {0} duplicate.|{0} duplicates.
        {0} Duplikat.|{0} Duplikate.
        {0} doublon.|{0} doublons.
        {0} duplicado.|{0} duplicados.
        {0} dubblett.|{0} dubbletter.";
    DIFFERING: "
        {0} of them with other content under a known id, and was not recorded.|{0} of them with other content under a known id, and were not recorded.
        {0} davon mit anderem Inhalt unter bekannter Kennung, nicht aufgezeichnet.|{0} davon mit anderem Inhalt unter bekannter Kennung, nicht aufgezeichnet.
        {0} d’entre eux avec un autre contenu sous un identifiant connu, non enregistré.|{0} d’entre eux avec un autre contenu sous un identifiant connu, non enregistrés.
        {0} de ellos con otro contenido bajo un id conocido, sin registrar.|{0} de ellos con otro contenido bajo un id conocido, sin registrar.
        {0} av dem med annat innehåll under ett känt id, inte registrerad.|{0} av dem med annat innehåll under ett känt id, inte registrerade.";
    UNMAPPED: "
        {0} unmapped.|{0} unmapped.
        {0} ohne Zuordnung.|{0} ohne Zuordnung.
        {0} sans correspondance.|{0} sans correspondance.
        {0} sin asignación.|{0} sin asignación.
        {0} utan mappning.|{0} utan mappning.";
    REFUSED_REQUESTS: "
        {0} request was refused since the start.|{0} requests were refused since the start.
        {0} Anfrage wurde seit dem Start abgewiesen.|{0} Anfragen wurden seit dem Start abgewiesen.
        {0} requête a été refusée depuis le démarrage.|{0} requêtes ont été refusées depuis le démarrage.
        {0} solicitud fue rechazada desde el arranque.|{0} solicitudes fueron rechazadas desde el arranque.
        {0} förfrågan har avvisats sedan starten.|{0} förfrågningar har avvisats sedan starten.";
    QUOTA: "
        Quota
        Kontingent
        Quota
        Cuota
        Kvot";
    LEFT: "
        {0} left
        {0} übrig
        {0} restants
        Quedan {0}
        {0} kvar";
    QUOTA_USED: "
        {0} of {1} single updates used in 24 hours.
        {0} von {1} einzelnen Aktualisierungen in 24 Stunden verbraucht.
        {0} mises à jour individuelles sur {1} utilisées en 24 heures.
        {0} de {1} actualizaciones individuales usadas en 24 horas.
        {0} av {1} enskilda uppdateringar använda på 24 timmar.";
    STORE: "
        Store
        Speicher
        Base
        Almacén
        Lager";
    STORE_FULL: "
        It is full: events are refused.
        Er ist voll: Ereignisse werden abgelehnt.
        Elle est pleine : les événements sont refusés.
        Está lleno: se rechazan los eventos.
        Det är fullt: händelser avvisas.";
    AT_MOST: "
        At most {0}.
        Höchstens {0}.
        Au plus {0}.
        Como máximo {0}.
        Högst {0}.";
    DISK_FREE: "
        {0} are free on the disk.
        {0} sind auf dem Datenträger frei.
        {0} sont libres sur le disque.
        Hay {0} libres en el disco.
        {0} är ledigt på disken.";
    PURGED: "
        {0} profile that Target has was purged for room.|{0} profiles that Target has were purged for room.
        {0} Profil, das Target hat, wurde aus Platzgründen entfernt.|{0} Profile, die Target hat, wurden aus Platzgründen entfernt.
        {0} profil qu’Adobe Target possède a été purgé pour faire de la place.|{0} profils qu’Adobe Target possède ont été purgés pour faire de la place.
        {0} perfil que Target tiene se eliminó para hacer sitio.|{0} perfiles que Target tiene se eliminaron para hacer sitio.
        {0} profil som Target har togs bort för att ge plats.|{0} profiler som Target har togs bort för att ge plats.";
    DESTINATION_CHANGED: "
        Deliveries went to another client code or endpoint until {0}; everything is sent again.
        Lieferungen gingen bis {0} an einen anderen Client-Code oder Endpunkt; alles wird erneut gesendet.
        Les livraisons allaient à un autre code client ou point d’accès jusqu’au {0} ; tout est renvoyé.
        Las entregas iban a otro código de cliente o extremo hasta {0}; todo se envía de nuevo.
        Leveranser gick till en annan klientkod eller adress till {0}; allt skickas igen.";
    FOLDER: "
        Folder
        Ordner
        Dossier
        Carpeta
        Mapp";
    READS_FILE: "
        reading {0}
        liest {0}
        lit {0}
        lee {0}
        läser {0}";
    FILES_WAITING: "
        {0} waiting|{0} waiting
        {0} wartend|{0} wartend
        {0} en attente|{0} en attente
        {0} en espera|{0} en espera
        {0} väntar|{0} väntar";
    FILES_READ: "
        {0} file read since the start.|{0} files read since the start.
        {0} Datei seit dem Start gelesen.|{0} Dateien seit dem Start gelesen.
        {0} fichier lu depuis le démarrage.|{0} fichiers lus depuis le démarrage.
        {0} archivo leído desde el arranque.|{0} archivos leídos desde el arranque.
        {0} fil läst sedan starten.|{0} filer lästa sedan starten.";
    FILES_BAD: "
        {0} of them with bad lines.|{0} of them with bad lines.
        {0} davon mit fehlerhaften Zeilen.|{0} davon mit fehlerhaften Zeilen.
        {0} d’entre eux avec de mauvaises lignes.|{0} d’entre eux avec de mauvaises lignes.
        {0} de ellos con líneas erróneas.|{0} de ellos con líneas erróneas.
        {0} av dem med felaktiga rader.|{0} av dem med felaktiga rader.";
    FILES_OF_DUPLICATES: "
        {0} had only duplicates.|{0} had only duplicates.
        {0} enthielt nur Doppelte.|{0} enthielten nur Doppelte.
        {0} ne contenait que des doublons.|{0} ne contenaient que des doublons.
        {0} solo tenía duplicados.|{0} solo tenían duplicados.
        {0} hade bara dubbletter.|{0} hade bara dubbletter.";
    LINES_AHEAD: "
        {0} line had a time in the future, and counts as of now.|{0} lines had a time in the future, and count as of now.
        {0} Zeile hatte eine Zeit in der Zukunft und gilt als von jetzt.|{0} Zeilen hatten eine Zeit in der Zukunft und gelten als von jetzt.
        {0} ligne avait une heure dans le futur et compte comme actuelle.|{0} lignes avaient une heure dans le futur et comptent comme actuelles.
        {0} línea tenía una hora en el futuro y cuenta como actual.|{0} líneas tenían una hora en el futuro y cuentan como actuales.
        {0} rad hade en tid i framtiden och räknas som nu.|{0} rader hade en tid i framtiden och räknas som nu.";
    DEVICE: "
        Device
        Gerät
        Appareil
        Dispositivo
        Enhet";
    CONNECTED: "
        connected
        verbunden
        connecté
        conectado
        ansluten";
    ABSENT: "
        not there
        nicht da
        absent
        ausente
        borta";
    LINE_EVENTS: "
        {1}: {0} event since the start.|{1}: {0} events since the start.
        {1}: {0} Ereignis seit dem Start.|{1}: {0} Ereignisse seit dem Start.
        {1} : {0} événement depuis le démarrage.|{1} : {0} événements depuis le démarrage.
        {1}: {0} evento desde el arranque.|{1}: {0} eventos desde el arranque.
        {1}: {0} händelse sedan starten.|{1}: {0} händelser sedan starten.";
    SECONDS: "
        {0} second|{0} seconds
        {0} Sekunde|{0} Sekunden
        {0} seconde|{0} secondes
        {0} segundo|{0} segundos
        {0} sekund|{0} sekunder";
    MINUTES: "
        {0} minute|{0} minutes
        {0} Minute|{0} Minuten
        {0} minute|{0} minutes
        {0} minuto|{0} minutos
        {0} minut|{0} minuter";
    HOURS: "
        {0} hour|{0} hours
        {0} Stunde|{0} Stunden
        {0} heure|{0} heures
        {0} hora|{0} horas
        {0} timme|{0} timmar";
    DAYS: "
        {0} day|{0} days
        {0} Tag|{0} Tagen
        {0} jour|{0} jours
        {0} día|{0} días
        {0} dag|{0} dagar";
    LAST_HOUR: "
        Last hour
        Letzte Stunde
        Dernière heure
        Última hora
        Senaste timmen";
    LAST_DAY: "
        Last day
        Letzter Tag
        Dernier jour
        Último día
        Senaste dygnet";
    HOUR_AGO: "
        an hour ago
        vor einer Stunde
        il y a une heure
        hace una hora
        för en timme sedan";
    DAY_AGO: "
        a day ago
        vor einem Tag
        il y a un jour
        hace un día
        för ett dygn sedan";
    CHART_RECORDED: "
        {0} event recorded|{0} events recorded
        {0} Ereignis aufgezeichnet|{0} Ereignisse aufgezeichnet
        {0} événement enregistré|{0} événements enregistrés
        {0} evento registrado|{0} eventos registrados
        {0} händelse registrerad|{0} händelser registrerade";
    CHART_DELIVERED: "
        {0} update delivered|{0} updates delivered
        {0} Aktualisierung geliefert|{0} Aktualisierungen geliefert
        {0} mise à jour livrée|{0} mises à jour livrées
        {0} actualización entregada|{0} actualizaciones entregadas
        {0} uppdatering levererad|{0} uppdateringar levererade";
    CHART_PENDING: "
        {0} profile pending now|{0} profiles pending now
        {0} Profil wartet jetzt|{0} Profile warten jetzt
        {0} profil en attente maintenant|{0} profils en attente maintenant
        {0} perfil pendiente ahora|{0} perfiles pendientes ahora
        {0} profil väntar nu|{0} profiler väntar nu";
    TOP_A_MINUTE: "
        recorded, at most {0} in a minute
        aufgezeichnet, höchstens {0} in einer Minute
        enregistrés, au plus {0} en une minute
        registrados, como máximo {0} en un minuto
        registrerade, högst {0} på en minut";
    TOP_A_QUARTER: "
        recorded, at most {0} in a quarter of an hour
        aufgezeichnet, höchstens {0} in einer Viertelstunde
        enregistrés, au plus {0} en un quart d’heure
        registrados, como máximo {0} en un cuarto de hora
        registrerade, högst {0} på en kvart";
    TOP_DELIVERED: "
        delivered, at most {0}
        geliefert, höchstens {0}
        livrées, au plus {0}
        entregadas, como máximo {0}
        levererade, högst {0}";
    TOP_PENDING: "
        pending, at most {0}
        wartend, höchstens {0}
        en attente, au plus {0}
        pendientes, como máximo {0}
        väntande, högst {0}";
}
